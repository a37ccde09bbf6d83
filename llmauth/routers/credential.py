"""Which credential? Holds one lease an instance, keeps them fresh, and hands out what they hold."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from llmauth.clock import Clock
from llmauth.context import Decision, Target
from llmauth.credentials.base import CredentialStrategy
from llmauth.credentials.cache import LOAD_DEADLINE, LOADS_AT_ONCE, Leased, Source
from llmauth.credentials.candidate import Jitter
from llmauth.credentials.chain import Asked, Chain, no_credential
from llmauth.credentials.status import InstanceStatus, Rehearsal

__all__ = ["CredentialRouter", "InstanceStatus"]

# How long a request waits when no credential is held: one strategy that hangs, and time for the next to answer.
PATIENCE = 10.0
# Between two looks at what has to be renewed; with it, an idle instance meets its next request with a fresh credential.
_LOOK_EVERY = 1.0


class CredentialRouter:
    """The leases of all instances. Lives on one event loop; `held` and `acquire` are called there and nowhere else.

    `before` is the router in whose place this one comes, and `kept` the instances whose leases it takes over from
    there, credentials and all; both may be asked until the other one is let go of.
    """

    def __init__(
        self,
        strategies: Mapping[str, Sequence[CredentialStrategy]],
        clock: Clock,
        *,
        deadline: float = LOAD_DEADLINE,
        patience: float = PATIENCE,
        jitter: Jitter = random.random,
        observe: Callable[[str, Asked], None] | None = None,
        before: CredentialRouter | None = None,
        kept: Collection[str] = (),
    ) -> None:
        slots = asyncio.Semaphore(LOADS_AT_ONCE) if before is None else before._slots
        told = observe or (lambda _instance, _asked: None)
        self._slots: asyncio.Semaphore = slots
        self._chains: dict[str, Chain] = {
            instance: before._chains[instance]
            if before is not None and instance in kept
            else Chain(
                instance, [Source(one, slots, deadline) for one in ordered], clock, jitter, partial(told, instance)
            )
            for instance, ordered in strategies.items()
        }
        self._new = [chain for instance, chain in self._chains.items() if instance not in kept]
        self._answers: dict[str, tuple[Leased, Decision]] = {}
        self._clock = clock
        self._patience = patience
        self._keeper: asyncio.Task[None] | None = None

    def held(self, target: Target) -> tuple[Leased, Decision] | None:
        """The leased credential, from memory and in microseconds; `None` means: `acquire`."""
        chain = self._chains.get(target.instance)
        leased = chain.lease.held() if chain is not None else None
        return None if leased is None else self._answer(target.instance, leased)

    def _answer(self, instance: str, leased: Leased) -> tuple[Leased, Decision]:
        answer = self._answers.get(instance)
        if answer is None or answer[0] is not leased:
            answer = self._answers[instance] = (leased, _decision(instance, leased))
        return answer

    async def acquire(self, target: Target) -> tuple[Leased, Decision]:
        """The leased credential, after a fetch where none is held. Raises NoCredential."""
        chain = self._chains.get(target.instance)
        if chain is None:
            raise no_credential(target.instance, "", "there is no such instance")
        started = self._clock.monotonic()
        leased = await chain.lease.acquire(self._patience)
        if leased is None:
            raise chain.refusal()
        decision = self._answer(target.instance, leased)[1]
        return leased, replace(decision, took=self._clock.monotonic() - started)

    def discard(self, instance: str, generation: int) -> None:
        """Forget the credential of this generation, because the provider refused it; at most one in ten seconds."""
        if instance in self._chains:
            self._chains[instance].discard(generation)

    def status(self) -> Mapping[str, InstanceStatus]:
        """Each instance's state, without asking any source."""
        return {instance: chain.status() for instance, chain in self._chains.items()}

    async def rehearse(self, instance: str) -> Rehearsal:
        """End an instance's credential as if its time had come, and see what follows. KeyError for an unknown one."""
        return await self._chains[instance].rehearse(self._patience)

    async def look_again(self, instance: str) -> InstanceStatus:
        """Ask an instance's sources now, since one was given something new. KeyError for an unknown one."""
        chain = self._chains[instance]
        await chain.look_again(self._patience)
        return chain.status()

    def prime(self) -> None:
        """Begin to load every instance, and to renew what ages; returns at once. Needs the running loop."""
        if self._keeper is None:
            self._keeper = asyncio.get_running_loop().create_task(self._keep())

    async def warm_up(self) -> None:
        """Wait until every lease that was not taken over holds a credential, or its sources were asked in vain."""
        await asyncio.gather(*(chain.lease.acquire(self._patience) for chain in self._new))

    def rest(self) -> None:
        """Renew nothing more unasked: another router does, for what it took over. Requests are served as before."""
        if self._keeper is not None:
            self._keeper.cancel()
            self._keeper = None

    def let_go(self, successors: Iterable[CredentialRouter]) -> None:
        """Nobody asks this one any more: end the leases that none of its successors holds."""
        self.rest()
        held = {id(chain) for router in successors for chain in router._chains.values()}
        for chain in self._chains.values():
            if id(chain) not in held:
                chain.lease.close()

    async def _keep(self) -> None:
        while True:
            for chain in self._chains.values():
                chain.keep()
            await asyncio.sleep(_LOOK_EVERY)

    def close(self) -> None:
        """Stop loading and renewing; credentials in hand serve the running requests until they end."""
        if self._keeper is not None:
            self._keeper.cancel()
        for chain in self._chains.values():
            chain.lease.close()


def _decision(instance: str, leased: Leased) -> Decision:
    ends = "without an end" if leased.expires_at is None else f"ends {_moment(leased.expires_at)}"
    reason = f"loaded {_moment(leased.loaded_at)}, {ends}"
    return Decision(router="credential", input=instance, outcome=leased.strategy, reason=reason)


def _moment(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
