"""Limits that others count: a lease for what runs, an outage bridged for a while, nothing that is used forgotten."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections import Counter, deque
from collections.abc import Coroutine
from decimal import Decimal
from typing import Any, NamedTuple, TypeVar

from llmauth.clock import Clock, SystemClock
from llmauth.errors import Unavailable
from llmauth.governance.backends import PATIENCE_SECONDS, Answer, Backend, BackendFailed
from llmauth.governance.closed import Closed
from llmauth.governance.demands import Demand, Permit, Settlement
from llmauth.governance.memory import MemoryLimiter
from llmauth.governance.refusals import refusal

logger = logging.getLogger(__name__)

OUTAGE_SECONDS = 60.0
PROBE_SECONDS = 1.0
MOST_UNSENT = 10_000
MOST_WAITING = 2_000
TURN_SECONDS = 5.0

_Value = TypeVar("_Value")


class _Unsent(NamedTuple):
    settlement: Settlement
    epoch: int


class SharedLimiter:
    """Asks a backend; while that cannot be asked, counts by itself with full limits, for `outage` seconds at most.

    A crowd is no outage: questions wait for their turn, and where one stays without an answer, only a backend that does
    not answer another is held to be down. Otherwise a caller could have limits counted apart by asking often enough.

    What runs here is counted here too, and told anew whenever a lease begins: an epoch. A question that was sent in one
    epoch and answered in the next has no meaning, since nobody knows which of the two came first.
    """

    def __init__(self, backend: Backend, clock: Clock | None = None, *, outage: float = OUTAGE_SECONDS) -> None:
        self._backend = backend
        self._clock = clock or SystemClock()
        self._outage = outage
        self._running: Counter[str] = Counter()
        self._unsent: deque[_Unsent] = deque()
        self._holder: str | None = None
        self._epoch = 0
        self._down_since: float | None = None
        self._told_end = False
        self._fallback = MemoryLimiter(self._clock)
        self._closed = Closed()
        self._turns = asyncio.Semaphore(backend.width)
        self._waiting = 0
        self._lost = False
        self._more = asyncio.Event()
        self._entering = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def place(self) -> str:
        """Who counts, for the log."""
        return self._backend.place

    @property
    def is_down(self) -> bool:
        """Whether this process counts by itself, or refuses."""
        return self._down_since is not None

    async def start(self) -> None:
        """Reach the backend; where it cannot be, that is logged, and it is tried again each second."""
        try:
            await self._in_time(self._enter(self._epoch))
        except BackendFailed as failure:
            self._goes_down(failure)
        self._keep(self._beats())
        self._keep(self._sends())

    async def stop(self) -> None:
        """Send what was not sent yet, for a second at most, and give up the lease."""
        if not self.is_down:
            with contextlib.suppress(BackendFailed):
                await self._in_time(self._drained())
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._holder is not None and not self.is_down:
            with contextlib.suppress(BackendFailed):
                await self._in_time(self._backend.leave(self._holder))
        await self._backend.close()

    def admit_now(self, demand: Demand) -> Permit | None:
        """A permit where nothing is limited; `None` where the backend must be asked. RateLimited as it said before."""
        if not demand.scopes:
            return Permit(demand)
        readings = self._closed.readings(demand, self._clock.monotonic())
        if readings:
            raise refusal(demand, readings, self._clock.wall())
        return None

    async def admit(self, demand: Demand) -> Permit:
        """All that is asked of all scopes, or nothing; Unavailable when an outage has lasted too long."""
        permit = self.admit_now(demand)
        if permit is not None:
            return permit
        task = asyncio.ensure_future(self._admit(demand))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            # The caller has gone, and the backend may have let it in all the same.
            task.add_done_callback(self._release_late)
            raise

    def settle(self, permit: Permit, tokens: int | None, cost: Decimal | None) -> None:
        """The request has ended and used this much; None leaves what was reserved. Never waits, never raises."""
        if not permit.open:
            return
        permit.open = False
        if not permit.demand.scopes:
            return
        counted = [scope.key for scope in permit.demand.scopes if scope.concurrent is not None]
        self._running.subtract(counted)
        if permit.alone is not None:
            permit.origin.settle(permit.alone, tokens, cost)
        elif self.is_down:
            for key in counted:
                self._fallback.occupy(key, -1)
        self._send(permit.settlement(tokens, cost))

    def release(self, permit: Permit) -> None:
        """The request came to nothing: reserves are given back. Never waits, never raises."""
        self.settle(permit, 0, Decimal(0))

    # ---- letting in ------------------------------------------------------------------------------------------------

    async def _admit(self, demand: Demand) -> Permit:
        if self._down_since is None:
            await self._turn()
            try:
                permit = await self._admitted_there(demand)
            finally:
                self._turns.release()
            if permit is not None:
                return permit
        return self._admitted_here(demand)

    async def _turn(self) -> None:
        """Wait until the backend has room for a question; Unavailable where that takes too long."""
        if self._waiting < MOST_WAITING:
            self._waiting += 1
            try:
                async with asyncio.timeout(TURN_SECONDS):
                    await self._turns.acquire()
                return
            except TimeoutError:
                pass
            finally:
                self._waiting -= 1
        raise self._too_slow()

    async def _admitted_there(self, demand: Demand) -> Permit | None:
        """The permit of the backend, `None` where that is down."""
        epoch, asked_at = self._epoch, self._clock.monotonic()
        if self._down_since is not None:  # since it waited
            return None
        readings = self._closed.readings(demand, asked_at)
        if readings:
            raise refusal(demand, readings, self._clock.wall())
        try:
            answer = await self._in_time(self._asked(demand))
        except BackendFailed as failure:
            if await self._answers(epoch, failure):
                raise self._too_slow() from None
            return None
        if answer.admitted:
            return self._begun(Permit(demand, answer.readings))
        self._closed.learn(demand, answer.readings, asked_at)
        raise refusal(demand, answer.readings, answer.wall)

    async def _answers(self, epoch: int, failure: BackendFailed) -> bool:
        """Whether it still answers, after a question that stayed without an answer.

        That one may have been counted all the same: so what runs here is told anew.
        """
        if self._down_since is None:
            try:
                await self._in_time(self._enter(epoch))
            except BackendFailed:
                self._goes_down(failure)
        return self._down_since is None

    def _too_slow(self) -> Unavailable:
        message = "The limits of this caller cannot be counted fast enough at the moment."
        return Unavailable(message, retry_after=1, detail=f"limits: {self.place}")

    async def _asked(self, demand: Demand) -> Answer:
        """The backend's answer; asked a second time where a lease ended or began meanwhile."""
        for _ in range(2):
            epoch, holder = self._epoch, self._holder
            if holder is not None:
                answer = await self._backend.admit(holder, demand)
                if answer.known and epoch == self._epoch:
                    return answer
            await self._enter(epoch)
        raise BackendFailed("its leases end as soon as they begin")

    def _admitted_here(self, demand: Demand) -> Permit:
        now = self._clock.monotonic()
        if self._down_since is None or now - self._down_since <= self._outage:
            alone = self._fallback.admit_now(demand)
            return self._begun(Permit(demand, alone.readings, alone, self._fallback))
        if not self._told_end:
            self._told_end = True
            logger.error(
                "The outage of the limits goes on, so requests that have some are refused now.",
                extra={"limits": self.place},
            )
        message = "The limits of this caller cannot be counted at the moment."
        raise Unavailable(message, retry_after=5, detail=f"limits: {self.place}")

    def _begun(self, permit: Permit) -> Permit:
        self._running.update(scope.key for scope in permit.demand.scopes if scope.concurrent is not None)
        return permit

    def _release_late(self, task: asyncio.Task[Permit]) -> None:
        if not task.cancelled() and task.exception() is None:
            self.release(task.result())

    # ---- what was used ---------------------------------------------------------------------------------------------

    def _send(self, settlement: Settlement) -> None:
        if len(self._unsent) >= MOST_UNSENT:
            self._unsent.popleft()
            self._lost = True  # with it the end of a request, so what runs has to be told anew
        self._unsent.append(_Unsent(settlement, self._epoch))
        self._more.set()

    async def _sends(self) -> None:
        while True:
            await self._more.wait()
            self._more.clear()
            if self._down_since is None:
                epoch = self._epoch
                try:
                    await self._drained()
                except BackendFailed as failure:
                    if await self._answers(epoch, failure):
                        self._more.set()

    async def _drained(self) -> None:
        while self._unsent and self._holder is not None:
            # Taken out first: what may have arrived is not sent twice, and its reserve has been paid in any case.
            settlement, epoch = self._unsent.popleft()
            await self._in_time(self._backend.settle(self._holder, settlement, ends=epoch == self._epoch))

    # ---- leases and outages ----------------------------------------------------------------------------------------

    async def _enter(self, ended: int) -> None:
        """Begin a new epoch after this one, unless another task did. Requests that end from here on count in it."""
        async with self._entering:
            if self._epoch != ended:
                return
            former, self._holder = self._holder, secrets.token_hex(8)
            self._epoch += 1
            self._lost = False
            self._running = Counter({key: count for key, count in self._running.items() if count > 0})
            await self._backend.enter(self._holder, former, dict(self._running))

    async def _beats(self) -> None:
        while True:
            await asyncio.sleep(PROBE_SECONDS if self.is_down else self._backend.lease / 4)
            epoch = self._epoch
            try:
                await self._in_time(self._beat())
            except BackendFailed as failure:
                await self._answers(epoch, failure)

    async def _beat(self) -> None:
        if self._down_since is not None:
            await self._enter(self._epoch)
            self._comes_back()
        elif self._lost or self._holder is None or not await self._backend.beat(self._holder):
            await self._enter(self._epoch)

    def _goes_down(self, failure: BackendFailed) -> None:
        if self._down_since is not None:
            return
        self._down_since, self._told_end = self._clock.monotonic(), False
        self._fallback = MemoryLimiter(self._clock)
        for key, count in self._running.items():
            self._fallback.occupy(key, count)
        logger.warning(
            "Limits cannot be shared: %s %s. For %d s this process counts alone, then it refuses.",
            self.place,
            failure,
            self._outage,
            extra={"limits": self.place},
        )

    def _comes_back(self) -> None:
        lasted = self._clock.monotonic() - (self._down_since or 0)
        self._down_since = None
        self._more.set()
        logger.info("Limits are shared again, after %d s: %s.", lasted, self.place, extra={"limits": self.place})

    async def _in_time(self, asked: Coroutine[Any, Any, _Value]) -> _Value:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await asked
        except TimeoutError:
            raise BackendFailed(f"did not answer within {PATIENCE_SECONDS:g} s") from None
        except BackendFailed:
            raise
        except Exception as error:  # whatever a client library says of an answer that it did not expect
            raise BackendFailed(f"cannot be understood ({type(error).__name__})") from error

    def _keep(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
