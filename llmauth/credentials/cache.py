"""The lease of a credential: fresh, stale or invalid; renewed early, one load at a time, beside the requests.

All state is touched on the event loop alone, so nothing here needs a lock; only a strategy's `load` runs in a thread.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from enum import Enum

from llmauth.clock import Clock
from llmauth.credentials.base import CredentialStrategy
from llmauth.secrets import Credential, Loaded
from llmauth.sources import SourceFailed

logger = logging.getLogger(__name__)

LOAD_DEADLINE = 5.0
LOADS_AT_ONCE = 8
# What takes longer than this waits for somebody, and needs no share of the machine while it does.
_BUSY = 0.25
# Longer than any wait between two attempts while it is needed.
_LATE_FOR = 90.0

# Of a life of one hour this leaves twelve minutes for further attempts.
_SHARE_OF_LIFE = 0.8
# A credential without an end is read again this often.
_STATIC_REFRESH = 60.0
# Metadata services hand out the same credential until shortly before its end; asking does not make a newer one.
_UNCHANGED_REFRESH = 30.0
# Renewals only move earlier by jitter, so that replicas do not ask at the same time and no limit is overstepped.
_JITTER = 0.1
# A provider that refuses every credential must not make us ask the source for each request.
_DISCARD_COOL_DOWN = 10.0
_AFTER_A_DEFECT = 5.0


class Freshness(Enum):
    """FRESH is used, STALE is used while its successor is fetched, INVALID is not used."""

    FRESH = "fresh"
    STALE = "stale"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """When to renew and when a credential ends, on both clocks; whichever clock comes first decides.

    The monotonic clock keeps a jump of the wall clock from lengthening a life, the wall clock notices the hours that a
    sleeping machine did not count.
    """

    renew: float
    end: float
    renew_wall: float
    end_wall: float

    def at(self, monotonic: float, wall: float) -> Freshness:
        """How a credential of this term may be used at this moment."""
        if monotonic < self.renew and wall < self.renew_wall:
            return Freshness.FRESH
        return Freshness.STALE if monotonic < self.end and wall < self.end_wall else Freshness.INVALID


def term(loaded: Loaded, *, monotonic: float, wall: float, unchanged: bool, jitter: float) -> Term:
    """The term of a credential that was loaded at this moment; `jitter` is between 0 and 1."""
    life = math.inf if loaded.expires_at is None else loaded.expires_at - wall
    earlier = 1 - _JITTER * jitter
    if life == math.inf:
        renew_after = (loaded.refresh_after or _STATIC_REFRESH) * earlier
        return Term(renew=monotonic + renew_after, end=math.inf, renew_wall=math.inf, end_wall=math.inf)
    renew_after = _SHARE_OF_LIFE * life * earlier
    if unchanged:
        renew_after = min(max(renew_after, _UNCHANGED_REFRESH), life)
    # A source that wants to be asked this often knows that asking is cheap, also where nothing changed.
    renew_after = min(renew_after, (loaded.refresh_after or math.inf) * earlier)
    return Term(
        renew=monotonic + renew_after, end=monotonic + life, renew_wall=wall + renew_after, end_wall=wall + life
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Leased:
    """A credential in use. `generation` names it to `discard`; the times beside it are Unix time, for people."""

    credential: Credential
    strategy: str
    source: str
    expires_at: float | None
    generation: int
    loaded_at: float
    term: Term


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A loaded credential, and the label of the strategy that it came from."""

    loaded: Loaded
    strategy: str


class NothingFound(Exception):
    """A fetch came back without a credential; asking again makes sense after `retry_after` seconds.

    `usable` says that the old credential was still good, so that the fetch did not try everything.
    """

    def __init__(self, retry_after: float, *, usable: bool) -> None:
        super().__init__()
        self.retry_after = retry_after
        self.usable = usable


class Lease:
    """One instance's credential. `fetch` finds a new one or raises NothingFound; it never runs twice at once."""

    def __init__(
        self, fetch: Callable[[], Awaitable[Found]], clock: Clock, jitter: Callable[[], float] = random.random
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._jitter = jitter
        self._current: Leased | None = None
        self._generation = 0
        self._running: asyncio.Task[None] | None = None
        self._not_before = -math.inf
        self._failed_while_usable = False
        self._discarded_at = -math.inf
        self._refused: Credential | None = None  # by the provider, the last time
        self._refusals = 0
        self._ended: Leased | None = None  # by a rehearsal, and not put back yet
        self._closed = False

    def held(self) -> Leased | None:
        """The credential if it may be used now; a stale one also starts its renewal. Never blocks."""
        current = self._current
        if current is None:
            return None
        # Written out instead of asking `freshness`: every request passes here.
        limits, clock = current.term, self._clock
        monotonic, wall = clock.monotonic(), clock.wall()
        if monotonic < limits.renew and wall < limits.renew_wall:
            return current
        if monotonic >= limits.end or wall >= limits.end_wall:
            return None
        self.renew()
        return current

    def usable(self) -> Leased | None:
        """The credential if it may be used now; starts nothing."""
        return None if self.freshness() is Freshness.INVALID else self._current

    def freshness(self) -> Freshness:
        """How the credential may be used now."""
        if self._current is None:
            return Freshness.INVALID
        return self._current.term.at(self._clock.monotonic(), self._clock.wall())

    async def acquire(self, patience: float) -> Leased | None:
        """The credential, after waiting at most `patience` seconds for one; all who wait share a single fetch."""
        loop = asyncio.get_running_loop()
        limit = loop.time() + patience
        while (current := self.held()) is None:
            running = self.renew()
            if running is None or loop.time() >= limit:
                return self.usable()
            await asyncio.wait({running}, timeout=limit - loop.time())
        return current

    def renew(self) -> asyncio.Task[None] | None:
        """The fetch that is running, started now unless the last one failed a moment ago. Needs the running loop."""
        if self._closed:
            return None
        if self._running is None and self._due():
            task = asyncio.get_running_loop().create_task(self._renew())
            # mitmproxy's loop runs a task as far as it comes before it is given back: one that asked nobody is over.
            self._running = None if task.done() else task
        return self._running

    def running(self) -> asyncio.Task[None] | None:
        """The fetch that is running; starts none."""
        return self._running

    def _due(self) -> bool:
        # The last fetch may have stopped early because the old credential was still good; once it is not, there is more
        # to try than that fetch did.
        ended = self._failed_while_usable and self.freshness() is Freshness.INVALID
        return ended or self._clock.monotonic() >= self._not_before

    async def _renew(self) -> None:
        refusals = self._refusals
        try:
            found = await self._fetch()
            # What was refused meanwhile was looked for too early, and whoever waits looks again.
            if self._refusals == refusals or found.loaded.credential != self._refused:
                self._take(found)
        except NothingFound as nothing:
            self._not_before = self._clock.monotonic() + nothing.retry_after
            self._failed_while_usable = nothing.usable
        except Exception as error:
            # A defect of ours. Asked again at once, it would be asked a thousand times a second.
            logger.error("A credential could not be taken", extra={"error": type(error).__name__})
            self._not_before = self._clock.monotonic() + _AFTER_A_DEFECT
            self._failed_while_usable = False
        finally:
            self._running = None

    def _take(self, found: Found) -> None:
        loaded, before = found.loaded, self._current
        same = before is not None and (before.credential, before.expires_at) == (loaded.credential, loaded.expires_at)
        if before is None or not same:
            self._generation += 1
        monotonic, wall = self._clock.monotonic(), self._clock.wall()
        self._current = Leased(
            credential=loaded.credential,
            strategy=found.strategy,
            source=loaded.source,
            expires_at=loaded.expires_at,
            generation=self._generation,
            loaded_at=wall,
            term=term(loaded, monotonic=monotonic, wall=wall, unchanged=same, jitter=self._jitter()),
        )
        self._not_before = -math.inf

    def discard(self, generation: int) -> bool:
        """Drop the credential of this generation, which the provider refused, unless one was dropped just before.

        Whether it was dropped.
        """
        now = self._clock.monotonic()
        refused = self._current or self._ended
        if refused is None or refused.generation != generation:
            return False
        if now < self._discarded_at + _DISCARD_COOL_DOWN:
            return False
        self._discarded_at = now
        self._refused = refused.credential
        self._refusals += 1
        self._current = self._ended = None
        self._not_before = -math.inf
        return True

    def end(self) -> Leased | None:
        """Treat the credential as one that has ended, and return it; `put_back` undoes that."""
        ended, self._current = self._current, None
        self._ended = ended or self._ended
        self._not_before = -math.inf
        return ended

    def put_back(self, ended: Leased) -> None:
        """Use a credential again that was ended too early, unless there is another one by now, or it was refused."""
        if self._ended is not ended:
            return
        self._ended = None
        if self._current is None:
            self._current = ended

    def age(self) -> None:
        """Treat the credential as one that is due for its renewal; it is used until there is another."""
        current = self._current
        if current is not None:
            self._current = replace(current, term=replace(current.term, renew=-math.inf, renew_wall=-math.inf))
        self._not_before = -math.inf

    def close(self) -> None:
        """Stop a fetch that is running; what is held stays usable until it ends."""
        self._closed = True
        if self._running is not None:
            self._running.cancel()


class Source:
    """One strategy of one instance, loaded in a thread under a deadline, and never twice at the same time.

    A thread of its own and no executor: at its exit the interpreter waits for the threads of every executor, so one
    that hangs in the prompt of a keyring would keep the process from ending. `slots` bounds the loads that run at once;
    a load that hangs gives its slot back, and holds up no other source.
    """

    def __init__(self, strategy: CredentialStrategy, slots: asyncio.Semaphore, deadline: float = LOAD_DEADLINE) -> None:
        self.strategy = strategy
        self._slots = slots
        self._deadline = deadline
        self._turn = asyncio.Lock()  # a rehearsal asks beside the renewal
        self._late: Future[Loaded] | None = None
        self._began = -math.inf

    def forget(self) -> None:
        """The provider refused what was had here: what a load brings that runs still is no answer any more."""
        self._began = -math.inf

    async def load(self) -> Loaded:
        """What the strategy finds. Raises what it raises, and SourceFailed when it does not answer in time.

        The answer of a load that came late is taken by the next call, so a slow source is not asked in vain; unless it
        has lain there for long, since then its secret may be another one.
        """
        loop = asyncio.get_running_loop()
        async with self._turn:
            outcome = self._late
            if outcome is None or (outcome.done() and loop.time() > self._began + _LATE_FOR):
                async with self._slots:
                    self._began = loop.time()
                    outcome = self._late = _started(self.strategy)
                    waiting = _awaitable(outcome)
                    await asyncio.wait({waiting}, timeout=min(_BUSY, self._deadline))
                await asyncio.wait({waiting}, timeout=max(0.0, self._deadline - _BUSY))
            if not outcome.done():
                raise SourceFailed(f"no answer within {self._deadline:g} s")
            self._late = None
            return outcome.result()


def _started(strategy: CredentialStrategy) -> Future[Loaded]:
    outcome: Future[Loaded] = Future()
    # From here on, a waiter that is cancelled cannot cancel the load: the thread goes on all the same.
    outcome.set_running_or_notify_cancel()

    def load() -> None:
        try:
            loaded = strategy.load()
        except BaseException as error:  # also SystemExit: whatever a library does, somebody waits for the outcome
            outcome.set_exception(error)
        else:
            outcome.set_result(loaded)

    threading.Thread(target=load, name=f"credential {strategy.label}", daemon=True).start()
    return outcome


def _awaitable(outcome: Future[Loaded]) -> asyncio.Future[Loaded]:
    waiting = asyncio.wrap_future(outcome)
    # Nobody may be left to look at a late failure; without this the loop would log it with its text.
    waiting.add_done_callback(lambda future: future.cancelled() or future.exception())
    return waiting
