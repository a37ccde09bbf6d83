"""The strategies of one instance: asked in their order, left only for a better one or at an end, and told about."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from llmauth.clock import Clock
from llmauth.credentials.base import Remembering
from llmauth.credentials.cache import Found, Freshness, Lease, Leased, NothingFound, Source
from llmauth.credentials.candidate import FAILED, LONGEST_WITHOUT, UNAVAILABLE, YOUNG, BackOff, Candidate, Jitter
from llmauth.credentials.status import InstanceStatus, Mishap, Rehearsal, StrategyStatus
from llmauth.credentials.telling import Teller
from llmauth.errors import NoCredential
from llmauth.secrets import Loaded
from llmauth.sources import SourceFailed, SourceUnavailable

Result = Literal["success", "unavailable", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What came of one time that a source was asked: a place and an end (Unix time), or a reason; never a value."""

    strategy: str
    result: Result
    source: str | None = None
    expires_at: float | None = None
    reason: str | None = None


Observe = Callable[[Asked], None]


def _unobserved(asked: Asked) -> None:
    """Nobody wants to know."""


# Ten thousand years: beyond it no calendar goes, and nothing here could say when a credential ends.
_LAST_MOMENT = 253_402_300_799


class Chain:
    """The strategies of one instance, the one that is active, and the lease that they fill."""

    def __init__(
        self,
        instance: str,
        sources: Sequence[Source],
        clock: Clock,
        jitter: Jitter,
        observe: Observe = _unobserved,
    ) -> None:
        self._instance = instance
        self._teller = Teller(instance, clock)
        self._candidates = [Candidate(source) for source in sources]
        self._active: Candidate | None = None
        self._mishap: Mishap | None = None
        self._clock = clock
        self._jitter = jitter
        self._observe = observe
        self._born = clock.monotonic()
        self.lease = Lease(self._fetch, clock, jitter)

    def refusal(self) -> NoCredential:
        """The error for a client, with the labels alone; what each strategy said is for the log."""
        labels = ", ".join(candidate.label for candidate in self._candidates)
        said = [f"{candidate.label}: {candidate.reason or 'no answer yet'}" for candidate in self._candidates]
        return no_credential(self._instance, f" (tried {labels})" if labels else "", "; ".join(said))

    def discard(self, generation: int) -> None:
        """Forget the credential of this generation, because the provider refused it; at most one in ten seconds."""
        if self.lease.discard(generation):
            self._forget()

    def _forget(self) -> None:
        for candidate in self._candidates:
            candidate.source.forget()
            if isinstance(candidate.source.strategy, Remembering):
                candidate.source.strategy.forget()

    def keep(self) -> None:
        """Begin what is due: a renewal, or a look whether a better strategy is there by now. Needs the running loop."""
        if self.lease.freshness() is not Freshness.FRESH or self._better_is_due():
            self.lease.renew()

    async def look_again(self, patience: float) -> None:
        """Somebody has given a source something new: ask them again now; what is held is used meanwhile.

        Returns when they have answered, after `patience` seconds at most. A fetch that runs already may have come too
        early, and does not count.
        """
        ends = self._clock.monotonic() + patience
        before = self.lease.running()
        if before is not None:
            await asyncio.wait({before}, timeout=patience)
        for candidate in self._candidates:
            candidate.due()
        self._forget()
        self.lease.age()
        running = self.lease.renew()
        if running is not None:
            await asyncio.wait({running}, timeout=max(0.0, ends - self._clock.monotonic()))

    # ---- finding a credential --------------------------------------------------------------------------------------

    async def _fetch(self) -> Found:
        usable = self._usable()
        # Between two renewals only those are asked that are better than the active one.
        looking = self.lease.freshness() is Freshness.FRESH
        considered = self._better() if looking else self._considered(usable)
        for candidate in considered:
            if candidate.wait(self._clock.monotonic(), usable=usable) > 0:
                continue
            loaded = await self._ask(candidate, usable)
            if loaded is not None:
                self._activate(candidate, loaded, usable)
                return Found(loaded=loaded, strategy=candidate.label)
        now = self._clock.monotonic()
        waits = [candidate.wait(now, usable=usable) for candidate in considered]
        raise NothingFound(0.0 if looking else min(waits, default=LONGEST_WITHOUT), usable=usable)

    def _usable(self) -> bool:
        return self.lease.freshness() is not Freshness.INVALID

    def _considered(self, usable: bool) -> Sequence[Candidate]:
        """All of them; while a credential is usable only the active one and those before it.

        So a better strategy is returned to at a renewal, and one failed renewal is no reason to go to a worse one.
        """
        if not usable or self._active is None:
            return self._candidates
        return self._candidates[: self._candidates.index(self._active) + 1]

    def _better(self) -> Sequence[Candidate]:
        return [] if self._active is None else self._candidates[: self._candidates.index(self._active)]

    def _better_is_due(self) -> bool:
        now = self._clock.monotonic()
        return any(candidate.wait(now, usable=True) == 0 for candidate in self._better())

    async def _ask(self, candidate: Candidate, usable: bool) -> Loaded | None:
        self._teller.trying(candidate, first_time=candidate.reason is None and not usable)
        candidate.asked_at = self._clock.wall()
        try:
            loaded = unexpired(await candidate.source.load(), self._clock.wall())
        except SourceUnavailable as refusal:
            self._refused(candidate, refusal.reason, UNAVAILABLE)
        except SourceFailed as refusal:
            self._refused(candidate, refusal.reason, FAILED)
        except Exception as error:
            # The class alone: libraries put URLs, headers and answers into their texts.
            self._refused(candidate, f"unexpected {type(error).__name__}", FAILED)
        else:
            where = Asked(
                strategy=candidate.label, result="success", source=loaded.source, expires_at=loaded.expires_at
            )
            self._observe(where)
            return loaded
        return None

    def _refused(self, candidate: Candidate, reason: str, back_off: BackOff) -> None:
        now = self._clock.monotonic()
        young = now - self._born < YOUNG
        new = candidate.refused(reason, back_off, now, self._jitter(), young=young)
        failed = back_off is FAILED
        if failed:
            self._mishap = Mishap(strategy=candidate.label, reason=reason, at=self._clock.wall())
        self._observe(Asked(strategy=candidate.label, result="error" if failed else "unavailable", reason=reason))
        self._teller.refused(candidate, reason, failed=failed, new=new)

    def _activate(self, candidate: Candidate, loaded: Loaded, usable: bool) -> None:
        before, self._active = self._active, candidate
        held = self.lease.usable()
        self._teller.activated(candidate, loaded, before=before, held=held if usable else None)
        candidate.answered()

    # ---- how it stands ---------------------------------------------------------------------------------------------

    def status(self) -> InstanceStatus:
        """How it stands, without asking any source."""
        strategies = tuple(self._status_of(candidate) for candidate in self._candidates)
        current = self.lease.usable()
        if current is None:
            failed = all(candidate.reason is not None for candidate in self._candidates)
            state: Literal["failed", "pending"] = "failed" if failed else "pending"
            return InstanceStatus(state=state, mishap=self._mishap, strategies=strategies)
        return InstanceStatus(
            state="ready",
            strategy=current.strategy,
            expires_at=current.expires_at,
            loaded_at=current.loaded_at,
            renews_at=self._clock.wall() + max(0.0, current.term.renew - self._clock.monotonic()),
            source=current.source,
            degraded=self._active is not None and self._active.reason is not None,
            mishap=self._mishap,
            strategies=strategies,
        )

    def _status_of(self, candidate: Candidate) -> StrategyStatus:
        return StrategyStatus(
            label=candidate.label,
            active=candidate is self._active and self.lease.usable() is not None,
            reason=candidate.reason,
            asked_at=candidate.asked_at,
            retry_in=candidate.wait(self._clock.monotonic(), usable=self._usable()),
        )

    # ---- rehearsing ------------------------------------------------------------------------------------------------

    async def rehearse(self, patience: float) -> Rehearsal:
        """End the credential as if its time had come, and see who gives the next one; then ask everybody else.

        Requests that come meanwhile wait, as they would. Where nobody gives another one, the old one is used again: it
        is still good, and only a rehearsal ended it.
        """
        ended = self.lease.end()
        self._forget()
        started = self._clock.monotonic()
        try:
            found = await self.lease.acquire(patience)
        finally:
            if ended is not None:
                self.lease.put_back(ended)
        took = self._clock.monotonic() - started
        return Rehearsal(
            instance=self._instance,
            before=None if ended is None else ended.strategy,
            after=None if found is None else found.strategy,
            took=took,
            expires_at=None if found is None else found.expires_at,
            standby=tuple(await asyncio.gather(*(self._stand_by(one) for one in self._others(found)))),
        )

    def _others(self, found: Leased | None) -> Sequence[Candidate]:
        return [] if found is None else [one for one in self._candidates if one is not self._active]

    async def _stand_by(self, candidate: Candidate) -> StrategyStatus:
        """What a strategy says that is not needed now; nothing is taken from it."""
        reason: str | None = None
        try:
            unexpired(await candidate.source.load(), self._clock.wall())
        except (SourceUnavailable, SourceFailed) as refusal:
            reason = refusal.reason
        except Exception as error:
            reason = f"unexpected {type(error).__name__}"
        return StrategyStatus(label=candidate.label, active=False, reason=reason, asked_at=self._clock.wall())


def unexpired(loaded: Loaded, wall: float) -> Loaded:
    """What a source gave, unless it has ended already, or names an end that is no moment: then SourceFailed."""
    ends = loaded.expires_at
    if ends is None:
        return loaded
    # Said as what it is not: a number that is none is neither before nor after another.
    if not ends <= _LAST_MOMENT:
        raise SourceFailed("what it gave names an end that is no moment; seconds since 1970 are wanted")
    if ends <= wall:
        raise SourceFailed("what it gave has already ended; is the clock of this machine right?")
    return loaded


def no_credential(instance: str, tried: str, detail: str) -> NoCredential:
    """The refusal of a request to an instance that has no credential; `detail` is for the log alone."""
    return NoCredential(
        f"Cannot authenticate to provider {instance}{tried}.",
        hint="Not your key. Tell whoever runs this gateway.",
        detail=detail,
    )
