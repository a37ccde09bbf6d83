"""Which credential? Asks an instance's strategies in order, stays with what works, and says why where nothing does."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from llmauth.clock import Clock
from llmauth.context import Decision, Target
from llmauth.credentials.base import CredentialStrategy, StrategyFailed, StrategyUnavailable
from llmauth.credentials.cache import (
    LOAD_DEADLINE,
    LOADS_AT_ONCE,
    Found,
    Freshness,
    Lease,
    Leased,
    NothingFound,
    Source,
)
from llmauth.errors import NoCredential
from llmauth.secrets import Loaded

logger = logging.getLogger(__name__)

# How long a request waits when no credential is held: one strategy that hangs, and time for the next to answer.
PATIENCE = 10.0
# Between two looks at what has to be renewed; with it, an idle instance meets its next request with a fresh credential.
_LOOK_EVERY = 1.0

Jitter = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceStatus:
    """Whether an instance has a credential now, and by which strategy. `expires_at` is Unix time."""

    state: Literal["ready", "pending", "failed"]
    strategy: str | None = None
    expires_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _BackOff:
    """Seconds before a strategy is asked again: doubled from `first` to `longest`."""

    first: float
    longest: float

    def after(self, failures: int) -> float:
        return float(min(self.first * 2 ** min(failures - 1, 10), self.longest))


# What does not exist here will hardly exist in a second; what is broken may be mended by then.
_UNAVAILABLE = _BackOff(first=5.0, longest=60.0)
_FAILED = _BackOff(first=1.0, longest=30.0)
# While an instance has no credential at all, its recovery shall be noticed soon.
_LONGEST_WITHOUT = 10.0


class _Candidate:
    """A strategy at its place in the order: what it said last, and when it may be asked again."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.label = source.strategy.label
        self.reason: str | None = None
        self._failures = 0
        self._failed_at = -math.inf
        self._delay = 0.0

    def wait(self, now: float, *, usable: bool) -> float:
        """Seconds until it may be asked again."""
        delay = self._delay if usable else min(self._delay, _LONGEST_WITHOUT)
        return max(0.0, self._failed_at + delay - now)

    def refused(self, reason: str, back_off: _BackOff, now: float, jitter: float) -> bool:
        """Note a refusal; whether it says something new."""
        new = reason != self.reason
        self.reason = reason
        self._failures += 1
        self._failed_at = now
        self._delay = back_off.after(self._failures) * (1 - jitter / 2)
        return new

    def answered(self) -> None:
        self.reason = None
        self._failures = 0
        self._delay = 0.0


class _Chain:
    """The strategies of one instance, the one that is active, and the lease that they fill."""

    def __init__(self, instance: str, sources: Sequence[Source], clock: Clock, jitter: Jitter) -> None:
        self._instance = instance
        self._log = _InstanceLog(instance)
        self._candidates = [_Candidate(source) for source in sources]
        self._active: _Candidate | None = None
        self._clock = clock
        self._jitter = jitter
        self.lease = Lease(self._fetch, clock, jitter)

    def status(self) -> InstanceStatus:
        current = self.lease.usable()
        if current is not None:
            return InstanceStatus(state="ready", strategy=current.strategy, expires_at=current.expires_at)
        failed = all(candidate.reason is not None for candidate in self._candidates)
        return InstanceStatus(state="failed" if failed else "pending")

    def refusal(self) -> NoCredential:
        """The error for a client, with the labels alone; what each strategy said is for the log."""
        labels = ", ".join(candidate.label for candidate in self._candidates)
        said = [f"{candidate.label}: {candidate.reason or 'no answer yet'}" for candidate in self._candidates]
        return _no_credential(self._instance, f" (tried {labels})" if labels else "", "; ".join(said))

    # ---- finding a credential --------------------------------------------------------------------------------------

    async def _fetch(self) -> Found:
        usable = self._usable()
        considered = self._considered(usable)
        for candidate in considered:
            if candidate.wait(self._clock.monotonic(), usable=usable) > 0:
                continue
            loaded = await self._ask(candidate, usable)
            if loaded is not None:
                self._activate(candidate, loaded, usable)
                return Found(loaded=loaded, strategy=candidate.label)
        now = self._clock.monotonic()
        waits = [candidate.wait(now, usable=usable) for candidate in considered]
        raise NothingFound(min(waits, default=_LONGEST_WITHOUT), usable=usable)

    def _usable(self) -> bool:
        return self.lease.freshness() is not Freshness.INVALID

    def _considered(self, usable: bool) -> Sequence[_Candidate]:
        """All of them; while a credential is usable only the active one and those before it.

        So a better strategy is returned to at a renewal, and one failed renewal is no reason to go to a worse one.
        """
        if not usable or self._active is None:
            return self._candidates
        return self._candidates[: self._candidates.index(self._active) + 1]

    async def _ask(self, candidate: _Candidate, usable: bool) -> Loaded | None:
        first_time = candidate.reason is None and not usable
        level = logging.INFO if first_time else logging.DEBUG
        self._log.log(level, "Trying strategy: %s", candidate.label, extra={"strategy": candidate.label})
        try:
            return self._unexpired(await candidate.source.load())
        except StrategyUnavailable as refusal:
            self._refused(candidate, refusal.reason, _UNAVAILABLE)
        except StrategyFailed as refusal:
            self._refused(candidate, refusal.reason, _FAILED)
        except Exception as error:
            # The class alone: libraries put URLs, headers and answers into their texts.
            self._refused(candidate, f"unexpected {type(error).__name__}", _FAILED)
        return None

    def _unexpired(self, loaded: Loaded) -> Loaded:
        if loaded.expires_at is not None and loaded.expires_at <= self._clock.wall():
            raise StrategyFailed("what it gave has already ended; is the clock of this machine right?")
        return loaded

    # ---- telling about it ------------------------------------------------------------------------------------------

    def _refused(self, candidate: _Candidate, reason: str, back_off: _BackOff) -> None:
        new = candidate.refused(reason, back_off, self._clock.monotonic(), self._jitter())
        fields = {"strategy": candidate.label}
        # Said once for each reason: a source that stays away is asked for as long as the process lives.
        if back_off is _UNAVAILABLE:
            self._log.log(logging.WARNING if new else logging.DEBUG, "⚠️  %s", reason, extra=fields)
        else:
            level = logging.ERROR if new else logging.DEBUG
            self._log.log(level, "❌ %s failed: %s", candidate.label, reason, extra=fields)

    def _activate(self, candidate: _Candidate, loaded: Loaded, usable: bool) -> None:
        before, self._active = self._active, candidate
        label, fields = candidate.label, {"strategy": candidate.label}
        if before is not None and before is not candidate:
            why = before.reason or "it is available again"
            self._log.warning("Credentials now come from %s, not from %s: %s", label, before.label, why, extra=fields)
        if before is not candidate or not usable:
            self._log.info("✅ Successfully initialized with %s", label, extra=fields)
            self._tell_life(candidate, loaded)
        elif candidate.reason is not None:
            self._log.info("%s answers again", label, extra=fields)
        candidate.answered()

    def _tell_life(self, candidate: _Candidate, loaded: Loaded) -> None:
        if loaded.expires_at is None:
            return
        life = loaded.expires_at - self._clock.wall()
        fields = {"strategy": candidate.label, "expires_at": loaded.expires_at, "source": loaded.source}
        if candidate.label.startswith("workload_identity"):
            minutes = max(1, round(life / 60))
            self._log.info("Credentials will auto-rotate every %d minutes", minutes, extra=fields)
        else:
            self._log.info("Credentials TTL: %d seconds", round(life), extra=fields)


class _InstanceLog(logging.LoggerAdapter[logging.Logger]):
    """Puts the instance in front of every line, and among its fields."""

    def __init__(self, instance: str) -> None:
        super().__init__(logger, {"instance": instance})
        self._instance = instance

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        kwargs["extra"] = {"instance": self._instance, **kwargs.get("extra", {})}
        return f"[{self._instance}] {msg}", kwargs


class CredentialRouter:
    """The leases of all instances. Lives on one event loop; `held` and `acquire` are called there and nowhere else."""

    def __init__(
        self,
        strategies: Mapping[str, Sequence[CredentialStrategy]],
        clock: Clock,
        *,
        deadline: float = LOAD_DEADLINE,
        patience: float = PATIENCE,
        jitter: Jitter = random.random,
    ) -> None:
        slots = asyncio.Semaphore(LOADS_AT_ONCE)
        self._chains = {
            instance: _Chain(instance, [Source(one, slots, deadline) for one in ordered], clock, jitter)
            for instance, ordered in strategies.items()
        }
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
            raise _no_credential(target.instance, "", "there is no such instance")
        started = self._clock.monotonic()
        leased = await chain.lease.acquire(self._patience)
        if leased is None:
            raise chain.refusal()
        decision = self._answer(target.instance, leased)[1]
        return leased, replace(decision, took=self._clock.monotonic() - started)

    def discard(self, instance: str, generation: int) -> None:
        """Forget the credential of this generation, because the provider refused it; at most one in ten seconds."""
        if instance in self._chains:
            self._chains[instance].lease.discard(generation)

    def status(self) -> Mapping[str, InstanceStatus]:
        """Each instance's state, without asking any source."""
        return {instance: chain.status() for instance, chain in self._chains.items()}

    def prime(self) -> None:
        """Begin to load every instance, and to renew what ages; returns at once. Needs the running loop."""
        if self._keeper is None:
            self._keeper = asyncio.get_running_loop().create_task(self._keep())

    async def _keep(self) -> None:
        while True:
            for chain in self._chains.values():
                if chain.lease.freshness() is not Freshness.FRESH:
                    chain.lease.renew()
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


def _no_credential(instance: str, tried: str, detail: str) -> NoCredential:
    return NoCredential(
        f"Cannot authenticate to provider {instance}{tried}.",
        hint="It is not your key: tell whoever runs this gateway.",
        detail=detail,
    )
