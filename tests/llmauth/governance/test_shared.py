"""Limits that others count, while these are there, slow, gone, and back."""

import asyncio
import logging

import pytest

from llmauth.clock import ManualClock
from llmauth.errors import RateLimited, Unavailable
from llmauth.governance import shared
from llmauth.governance.backends import Answer, BackendFailed
from llmauth.governance.demands import Demand
from llmauth.governance.memory import MemoryLimiter
from llmauth.governance.shared import SharedLimiter
from tests.fixtures.limiters import demand, seconds_of, tried

ONE = demand(user_a={"concurrent": 1})
TWO = demand(user_a={"rpm": 2})


class Backend:
    """Counts in memory, and fails as a test wants it to."""

    place = "elsewhere"
    width = 4
    lease = 0.04

    def __init__(self) -> None:
        self.counts = MemoryLimiter(ManualClock())
        self.down = False
        self.silent = asyncio.Event()
        self.silent.set()
        self.asked = self.entered = self.most = self._now = 0
        self.running: dict[str, int] = {}
        self.settled: list[tuple[int, bool]] = []
        self.holder: str | None = None

    async def _answers(self) -> None:
        if self.down:
            raise BackendFailed("is down.")
        await self.silent.wait()

    async def enter(self, holder, former, running):
        await self._answers()
        self.entered += 1
        for key, count in self.running.items():
            self.counts.occupy(key, -count)
        for key, count in running.items():
            self.counts.occupy(key, count)
        self.running, self.holder = dict(running), holder

    async def beat(self, holder):
        await self._answers()
        return holder == self.holder

    async def admit(self, holder, demand: Demand):
        self.asked += 1
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            await self._answers()
            await asyncio.sleep(0)
            if holder != self.holder:
                return Answer(admitted=False, known=False)
            permit = self.counts.try_now(demand)
            if permit.open:
                for scope in demand.scopes:
                    self.running[scope.key] = self.running.get(scope.key, 0) + 1
            return Answer(permit.open, permit.readings, self.counts.wall())
        finally:
            self._now -= 1

    async def settle(self, holder, settlement, *, ends):
        await self._answers()
        self.settled.append((settlement.tokens, ends))
        for scope in settlement.scopes if ends else ():
            self.running[scope.key] -= 1
        self.counts.apply(settlement, ends=ends)

    async def leave(self, holder):
        self.holder = None

    async def close(self):
        self.closed = True


@pytest.fixture
def backend():
    return Backend()


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
async def limiter(backend, clock, monkeypatch):
    monkeypatch.setattr(shared, "PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(shared, "PROBE_SECONDS", 0.01)
    monkeypatch.setattr(shared, "TURN_SECONDS", 0.2)
    made = SharedLimiter(backend, clock, outage=60)
    await made.start()
    yield made
    backend.down = False
    backend.silent.set()
    await made.stop()
    assert backend.closed


async def until(condition):
    async with asyncio.timeout(2):
        while not condition():
            await asyncio.sleep(0.001)


async def test_an_outage_is_bridged_and_then_refused(limiter, backend, clock, caplog):
    """F2: down. An outage of the store degrades what is exact, not authenticated traffic, and not without end."""
    backend.down = True
    with caplog.at_level(logging.WARNING):
        assert len(await tried(limiter, TWO, 5)) == 2  # full limits, counted here
        clock.advance(61)
        with pytest.raises(Unavailable) as refused:
            await limiter.admit(TWO)
        assert limiter.admit_now(demand()) is not None  # whoever has no limits is never held up
    assert (refused.value.status, refused.value.retry_after) == (503, 5)
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]
    assert "For 60 s this process counts alone" in caplog.text


async def test_it_comes_back_by_itself(limiter, backend, caplog):
    """F2: recovery without a restart."""
    backend.down = True
    with caplog.at_level(logging.INFO):
        await tried(limiter, TWO, 1)
        assert limiter.is_down
        backend.down = False
        await until(lambda: not limiter.is_down)
    asked = backend.asked
    await limiter.admit(TWO)
    assert backend.asked == asked + 1
    assert "Limits are shared again" in caplog.text


async def test_what_runs_goes_on_counting_through_an_outage(limiter, backend):
    permit = await limiter.admit(ONE)
    backend.down = True
    with pytest.raises(RateLimited):
        await limiter.admit(ONE)  # here, where it is known to run
    backend.down = False
    await until(lambda: not limiter.is_down)
    with pytest.raises(RateLimited):
        await limiter.admit(ONE)  # and there, where it was told anew
    limiter.settle(permit, 5, None)
    await until(lambda: not backend.counts.running())
    await limiter.admit(ONE)


async def test_what_was_used_during_an_outage_is_charged_afterwards(limiter, backend):
    backend.down = True
    wanted = demand(100, user_a={"tpm": 1000})
    permit = await limiter.admit(wanted)
    limiter.settle(permit, 70, None)
    backend.down = False
    await until(lambda: backend.settled)
    assert backend.settled == [(70, False)]


async def test_a_silent_backend_is_down(limiter, backend):
    """F2: slow."""
    backend.silent.clear()
    async with asyncio.timeout(1):
        assert len(await tried(limiter, TWO, 5)) == 2
    assert limiter.is_down


async def test_one_lost_answer_is_no_outage(limiter, backend):
    """Nobody has limits counted apart by asking so much that one question is not answered in time."""
    entered = backend.entered
    backend.silent.clear()
    asyncio.get_running_loop().call_later(0.07, backend.silent.set)
    with pytest.raises(Unavailable) as refused:
        await limiter.admit(TWO)
    assert refused.value.retry_after == 1
    assert not limiter.is_down
    assert backend.entered > entered  # it may have been counted as running


async def test_a_crowd_waits_for_its_turn(limiter, backend):
    many = demand(user_a={"concurrent": 30})
    assert len(await tried(limiter, many, 300)) == 30
    assert backend.most == backend.width
    assert not limiter.is_down


async def test_who_waits_too_long_is_told_to_come_back(limiter, backend, monkeypatch):
    monkeypatch.setattr(shared, "PATIENCE_SECONDS", 5)
    backend.silent.clear()
    tasks = [asyncio.ensure_future(limiter.admit(ONE)) for _ in range(6)]
    await until(lambda: sum(task.done() for task in tasks) == 2)
    assert all(isinstance(task.exception(), Unavailable) for task in tasks if task.done())
    backend.silent.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(not isinstance(each, BaseException) for each in outcomes) == 1


async def test_a_queue_has_an_end(limiter, backend, monkeypatch):
    monkeypatch.setattr(shared, "MOST_WAITING", 0)
    with pytest.raises(Unavailable):
        await limiter.admit(ONE)


async def test_a_flood_of_refused_requests_asks_nobody(limiter, backend, clock):
    await tried(limiter, TWO, 3)
    asked = backend.asked
    assert await tried(limiter, TWO, 100) == []
    with pytest.raises(RateLimited) as refused:
        await limiter.admit(TWO)
    with pytest.raises(RateLimited):
        limiter.admit_now(TWO)
    assert backend.asked == asked
    assert seconds_of(refused) == 30
    assert "2 requests per minute" in refused.value.message
    clock.advance(30)
    backend.counts._clock.advance(30)
    await limiter.admit(TWO)


async def test_a_lease_that_ended_begins_anew(limiter, backend):
    permit = await limiter.admit(ONE)
    backend.holder = "another"
    with pytest.raises(RateLimited):
        await limiter.admit(ONE)
    assert backend.running == {"user:a": 1}
    limiter.release(permit)
    await until(lambda: backend.running == {"user:a": 0})


async def test_whoever_is_cancelled_while_waiting_holds_nothing(limiter, backend):
    backend.silent.clear()
    task = asyncio.ensure_future(limiter.admit(ONE))
    await asyncio.sleep(0.01)
    task.cancel()
    backend.silent.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: backend.settled and not backend.counts.running())


async def test_when_ends_were_lost_what_runs_is_told_anew(limiter, backend, monkeypatch):
    monkeypatch.setattr(shared, "MOST_UNSENT", 2)
    many = demand(user_a={"concurrent": 5})
    permits = await tried(limiter, many, 5)
    backend.silent.clear()
    for permit in permits:
        limiter.settle(permit, 1, None)
    backend.silent.set()
    await until(lambda: not backend.counts.running())


async def test_at_the_end_what_was_not_sent_is_sent(backend, clock):
    limiter = SharedLimiter(backend, clock)
    await limiter.start()
    permit = await limiter.admit(demand(10, user_a={"tpm": 100}))
    limiter.settle(permit, 3, None)
    await limiter.stop()
    assert backend.settled == [(-7, True)]
    assert backend.holder is None


async def test_a_backend_that_is_down_at_the_start_keeps_nobody_from_starting(backend, clock, caplog):
    backend.down = True
    limiter = SharedLimiter(backend, clock)
    await limiter.start()
    assert limiter.is_down
    assert "Limits cannot be shared" in caplog.text
    await limiter.stop()


async def test_garbage_from_a_library_is_an_outage(limiter, backend, monkeypatch):
    """F2: garbage; what a stranger says never reaches the log."""

    async def raises(*_, **__):
        raise ValueError("hunter2")

    monkeypatch.setattr(backend, "admit", raises)
    monkeypatch.setattr(backend, "enter", raises)
    permit = await limiter.admit(ONE)
    assert permit.alone is not None
