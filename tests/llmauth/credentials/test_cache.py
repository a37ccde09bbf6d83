"""The lease: its term on two clocks, one load at a time, stale serving, hard end, discards; and loads that hang."""

from __future__ import annotations

import asyncio
import contextlib
import math
import subprocess
import sys
import threading
import time

import pytest

from llmauth.clock import ManualClock
from llmauth.credentials.cache import (
    Found,
    Freshness,
    Lease,
    NothingFound,
    Source,
    term,
)
from llmauth.secrets import ApiKey, Loaded, Secret
from llmauth.sources import SourceFailed, SourceUnavailable

HOUR = 3600.0


class Counting:
    """A strategy that notices how many ask it at once."""

    label = "counting"

    def __init__(self) -> None:
        self.now = self.most = 0

    def unavailable(self) -> str | None:
        return None

    def load(self) -> Loaded:
        self.now += 1
        self.most = max(self.most, self.now)
        time.sleep(0.05)
        self.now -= 1
        return loaded()


def loaded(name: str = "k", ends: float | None = None, refresh_after: float | None = None) -> Loaded:
    return Loaded(credential=ApiKey(value=Secret(name)), source="here", expires_at=ends, refresh_after=refresh_after)


class Fetch:
    """Hands out what it was given, one a call; the last one again and again. An exception is raised."""

    def __init__(self, *results: Loaded | Exception) -> None:
        self.results = list(results)
        self.calls = 0
        self.wait: asyncio.Event | None = None

    async def __call__(self) -> Found:
        self.calls += 1
        if self.wait is not None:
            await self.wait.wait()
        result = self.results.pop(0) if len(self.results) > 1 else self.results[0]
        if isinstance(result, Exception):
            raise result
        return Found(loaded=result, strategy="test")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def lease_of(fetch: Fetch, clock: ManualClock) -> Lease:
    return Lease(fetch, clock, jitter=lambda: 0.0)


async def settled(lease: Lease) -> None:
    running = lease.renew()
    if running is not None:
        await asyncio.wait({running})


# The term


@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("life", [10.0, 900.0, HOUR, 6 * HOUR, 12 * HOUR])
def test_renewal_is_early_and_jitter_only_makes_it_earlier(life: float, jitter: float) -> None:
    """F3: at 80 % of the life, and where that is an hour or more, at least five minutes before the end."""
    found = term(loaded(ends=1000 + life), monotonic=50, wall=1000, unchanged=False, jitter=jitter)
    assert 0.7 * life < found.renew - 50 <= 0.8 * life
    assert found.end == 50 + life
    assert found.renew_wall - 1000 == pytest.approx(found.renew - 50)
    if life >= HOUR:
        assert found.end - found.renew >= 300


def test_a_credential_without_an_end_is_read_again() -> None:
    found = term(loaded(), monotonic=0, wall=1000, unchanged=False, jitter=0)
    assert (found.renew, found.end, found.end_wall) == (60, math.inf, math.inf)
    assert term(loaded(refresh_after=3), monotonic=0, wall=1000, unchanged=False, jitter=1).renew == pytest.approx(2.7)


def test_a_source_may_ask_to_be_read_earlier() -> None:
    found = term(loaded(ends=1000 + HOUR, refresh_after=60), monotonic=0, wall=1000, unchanged=False, jitter=0)
    assert (found.renew, found.end) == (60, HOUR)


def test_a_source_that_is_cheap_to_ask_is_asked_as_often_where_nothing_changed() -> None:
    found = term(loaded(ends=1000 + HOUR, refresh_after=3), monotonic=0, wall=1000, unchanged=True, jitter=0)
    assert (found.renew, found.end) == (3, HOUR)


@pytest.mark.parametrize(("left", "wait"), [(20.0, 20.0), (35.0, 30.0), (600.0, 480.0)])
def test_the_same_credential_again_never_loops(left: float, wait: float) -> None:
    found = term(loaded(ends=1000 + left), monotonic=0, wall=1000, unchanged=True, jitter=0)
    assert found.renew == wait


@pytest.mark.parametrize(
    ("monotonic", "wall", "freshness"),
    [
        (0, 1000, Freshness.FRESH),
        (80, 1080, Freshness.STALE),
        (100, 1100, Freshness.INVALID),
        (100, 900, Freshness.INVALID),  # the wall clock was set back: no longer life
        (1, 1101, Freshness.INVALID),  # the machine slept: the monotonic clock did not count
        (1, 1081, Freshness.STALE),
    ],
)
def test_the_clock_that_comes_first_decides(monotonic: float, wall: float, freshness: Freshness) -> None:
    assert term(loaded(ends=1100), monotonic=0, wall=1000, unchanged=False, jitter=0).at(monotonic, wall) is freshness


# The lease


async def test_a_thousand_waiters_share_one_load(clock) -> None:
    fetch = Fetch(loaded(ends=clock.wall() + HOUR))
    fetch.wait = asyncio.Event()
    lease = lease_of(fetch, clock)
    waiters = [asyncio.create_task(lease.acquire(5)) for _ in range(1000)]
    await asyncio.sleep(0)
    fetch.wait.set()
    found = await asyncio.gather(*waiters)
    assert fetch.calls == 1
    assert len({id(one) for one in found}) == 1
    assert found[0] is not None
    assert found[0].generation == 1


async def test_one_waiter_that_leaves_takes_nothing_from_the_others(clock) -> None:
    fetch = Fetch(loaded())
    fetch.wait = asyncio.Event()
    lease = lease_of(fetch, clock)
    first, second = (asyncio.create_task(lease.acquire(5)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    fetch.wait.set()
    assert (await second) is not None
    assert fetch.calls == 1


async def test_a_stale_credential_serves_until_its_hard_end(clock) -> None:
    """S11, F3: while its renewal fails, up to the end and not a second longer."""
    fetch = Fetch(loaded("one", clock.wall() + 100), NothingFound(1000, usable=True))
    lease = lease_of(fetch, clock)
    await lease.acquire(5)
    clock.advance(85)
    stale = lease.held()
    assert stale is not None
    assert stale.credential == ApiKey(value=Secret("one"))
    await asyncio.sleep(0)
    assert fetch.calls == 2
    clock.advance(14.9)
    assert lease.held() is stale
    clock.advance(0.1)
    assert lease.held() is None
    assert lease.usable() is None


async def test_a_stale_credential_is_renewed_once_beside_the_requests(clock) -> None:
    fetch = Fetch(loaded("one", clock.wall() + 100), loaded("two", clock.wall() + 1000))
    lease = lease_of(fetch, clock)
    await lease.acquire(5)
    clock.advance(85)
    served = [lease.held() for _ in range(100)]
    assert all(one is not None and one.generation == 1 for one in served)
    await settled(lease)
    renewed = lease.held()
    assert renewed is not None
    assert (renewed.generation, renewed.credential) == (2, ApiKey(value=Secret("two")))
    assert fetch.calls == 2


async def test_a_failing_source_is_asked_once_a_step(clock) -> None:
    fetch = Fetch(NothingFound(5, usable=False))
    lease = lease_of(fetch, clock)
    for _ in range(50):
        assert await lease.acquire(5) is None
    assert fetch.calls == 1
    clock.advance(5)
    await lease.acquire(5)
    assert fetch.calls == 2


async def test_the_end_of_a_credential_ends_the_patience_with_its_source(clock) -> None:
    fetch = Fetch(loaded("one", clock.wall() + 100), NothingFound(1000, usable=True), loaded("two"))
    lease = lease_of(fetch, clock)
    await lease.acquire(5)
    clock.advance(90)
    await settled(lease)
    assert lease.renew() is None
    clock.advance(10)
    found = await lease.acquire(5)
    assert found is not None
    assert found.credential == ApiKey(value=Secret("two"))


async def test_the_wall_clock_set_back_does_not_lengthen_a_life(clock) -> None:
    """F3: ages are monotonic."""
    lease = lease_of(Fetch(loaded(ends=clock.wall() + 100), NothingFound(1, usable=False)), clock)
    await lease.acquire(5)
    clock._wall -= 50_000
    clock.advance(100)
    assert lease.held() is None


async def test_the_hours_of_a_sleeping_machine_count(clock) -> None:
    fetch = Fetch(loaded(ends=clock.wall() + 100))
    lease = lease_of(fetch, clock)
    await lease.acquire(5)
    clock._wall += 85
    assert lease.held() is not None
    await settled(lease)
    assert fetch.calls == 2
    clock._wall += 15
    assert lease.held() is None


async def test_an_unchanged_secret_keeps_its_generation(clock) -> None:
    lease = lease_of(Fetch(loaded("one"), loaded("one"), loaded("two")), clock)
    generations = []
    for _ in range(3):
        found = await lease.acquire(5)
        assert found is not None
        generations.append(found.generation)
        clock.advance(61)
        lease.held()
        await settled(lease)
    assert generations == [1, 1, 2]


async def test_discards_go_by_generation_and_cool_down(clock) -> None:
    fetch = Fetch(*(loaded(str(n)) for n in range(9)))
    lease = lease_of(fetch, clock)
    await lease.acquire(5)
    for _ in range(500):
        lease.discard(1)
    assert lease.held() is None
    second = await lease.acquire(5)
    assert second is not None
    assert second.generation == 2
    lease.discard(2)
    assert lease.held() is second  # a moment after the last one
    clock.advance(10)
    lease.discard(1)
    assert lease.held() is second  # the refusal was for its predecessor
    lease.discard(2)
    assert lease.held() is None
    assert fetch.calls == 2


async def test_a_discarded_secret_that_comes_back_is_a_new_generation(clock) -> None:
    lease = lease_of(Fetch(loaded("one")), clock)
    await lease.acquire(5)
    lease.discard(1)
    again = await lease.acquire(5)
    assert again is not None
    assert again.generation == 2


async def test_patience_ends_and_the_load_goes_on(clock) -> None:
    fetch = Fetch(loaded())
    fetch.wait = asyncio.Event()
    lease = lease_of(fetch, clock)
    assert await lease.acquire(0.01) is None
    fetch.wait.set()
    await settled(lease)
    assert lease.held() is not None
    assert fetch.calls == 1


async def test_a_closed_lease_starts_nothing(clock) -> None:
    fetch = Fetch(loaded())
    fetch.wait = asyncio.Event()
    lease = lease_of(fetch, clock)
    waiting = asyncio.create_task(lease.acquire(5))
    await asyncio.sleep(0)
    lease.close()
    assert await waiting is None
    assert lease.renew() is None


# Loads in threads


class Strategy:
    """Answers with what `answer` returns or raises, and counts."""

    label = "test"

    def __init__(self, answer) -> None:
        self.answer = answer
        self.threads: list[str] = []

    def unavailable(self) -> str | None:
        return None

    def load(self) -> Loaded:
        self.threads.append(threading.current_thread().name)
        return self.answer()


def source_of(answer, deadline: float = 1.0, slots: asyncio.Semaphore | None = None) -> Source:
    return Source(Strategy(answer), slots or asyncio.Semaphore(4), deadline)


async def test_a_load_runs_beside_the_loop() -> None:
    source = source_of(loaded)
    assert (await source.load()).source == "here"
    assert isinstance(source.strategy, Strategy)
    assert source.strategy.threads == ["credential test"]


async def test_a_strategy_refuses_through_its_thread() -> None:
    def refuse() -> Loaded:
        raise SourceUnavailable("not here")

    with pytest.raises(SourceUnavailable, match="not here"):
        await source_of(refuse).load()


async def test_a_library_that_exits_is_a_failure_and_no_hang() -> None:
    def leave() -> Loaded:
        raise SystemExit(3)

    with pytest.raises(BaseException, match="3"):
        await source_of(leave).load()


async def test_a_load_that_hangs_is_given_up_and_not_started_twice() -> None:
    release = threading.Event()

    def hang() -> Loaded:
        release.wait(30)
        return loaded("late")

    source = source_of(hang, deadline=0.05)
    assert isinstance(source.strategy, Strategy)
    for _ in range(3):
        with pytest.raises(SourceFailed, match=r"no answer within 0\.05 s"):
            await source.load()
    assert len(source.strategy.threads) == 1
    release.set()
    while not (source._late and source._late.done()):
        await asyncio.sleep(0.001)
    assert (await source.load()).credential == ApiKey(value=Secret("late"))


async def test_loads_that_hang_do_not_hold_up_the_others() -> None:
    release = threading.Event()
    slots = asyncio.Semaphore(2)

    def hang() -> Loaded:
        release.wait(30)
        return loaded()

    hanging = [source_of(hang, 0.05, slots) for _ in range(6)]
    results = await asyncio.gather(*(one.load() for one in hanging), return_exceptions=True)
    assert all(isinstance(one, SourceFailed) for one in results)
    assert (await source_of(loaded, 1.0, slots).load()).source == "here"
    release.set()


async def test_only_so_many_loads_run_at_once() -> None:
    running, most, lock = 0, 0, threading.Lock()

    def count() -> Loaded:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01)
        with lock:
            running -= 1
        return loaded()

    slots = asyncio.Semaphore(4)
    await asyncio.gather(*(source_of(count, 1.0, slots).load() for _ in range(20)))
    assert most == 4


def test_a_load_that_hangs_does_not_keep_the_process_alive() -> None:
    program = (
        "import asyncio, time\n"
        "from llmauth.credentials.cache import Source\n"
        "class S:\n"
        "    label = 's'\n"
        "    def load(self): time.sleep(60)\n"
        "async def main():\n"
        "    try: await Source(S(), asyncio.Semaphore(1), 0.05).load()\n"
        "    except Exception as error: print(error)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout == "no answer within 0.05 s\n"
    assert done.stderr == ""


async def test_a_defect_is_not_asked_again_at_once(clock) -> None:
    fetch = Fetch(ZeroDivisionError())
    lease = lease_of(fetch, clock)
    assert await lease.acquire(1.0) is None
    assert fetch.calls == 1
    clock.advance(6)
    assert await lease.acquire(1.0) is None
    assert fetch.calls == 2


async def test_what_was_looked_for_before_it_was_refused_is_not_taken_again(clock) -> None:
    """A renewal that began before may bring the very credential that the provider refused."""
    fetch = Fetch(loaded("old", clock.wall() + HOUR), loaded("old", clock.wall() + HOUR), loaded("new"))
    lease = lease_of(fetch, clock)
    first = await lease.acquire(1.0)
    fetch.wait = asyncio.Event()
    clock.advance(0.9 * HOUR)
    lease.held()
    await asyncio.sleep(0)
    assert first is not None
    assert lease.discard(first.generation)
    fetch.wait.set()
    now = await lease.acquire(1.0)
    assert now is not None
    assert now.credential == ApiKey(value=Secret("new"))


async def test_what_was_refused_during_a_rehearsal_is_not_put_back(clock) -> None:
    lease = lease_of(Fetch(loaded("old"), NothingFound(60.0, usable=False)), clock)
    first = await lease.acquire(1.0)
    assert first is not None
    ended = lease.end()
    assert ended is first
    assert lease.end() is None  # a second rehearsal beside it has nothing to end
    assert lease.discard(first.generation)
    lease.put_back(ended)
    assert lease.usable() is None


async def test_two_who_ask_at_once_take_turns() -> None:
    strategy = Counting()
    source = Source(strategy, asyncio.Semaphore(4))
    await asyncio.gather(source.load(), source.load(), source.load())
    assert strategy.most == 1


async def test_whoever_is_called_off_leaves_no_load_behind_that_runs_twice() -> None:
    strategy = Counting()
    source = Source(strategy, asyncio.Semaphore(4))
    first = asyncio.create_task(source.load())
    await asyncio.sleep(0.01)
    first.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await first
    with contextlib.suppress(SourceFailed):
        await source.load()
    assert strategy.most == 1


@pytest.mark.parametrize("how", ["by its age", "by a refusal"])
async def test_an_answer_that_lay_there_for_long_is_not_taken(monkeypatch, how) -> None:
    """Whoever is asked only now and then would give the secret of yesterday."""
    release, values = threading.Event(), ["yesterday", "today"]

    def slow() -> Loaded:
        value = values.pop(0)
        release.wait(5)
        return loaded(value)

    source = source_of(slow, deadline=0.05)
    with pytest.raises(SourceFailed):
        await source.load()
    release.set()
    while not (source._late and source._late.done()):
        await asyncio.sleep(0.001)
    if how == "by its age":
        monkeypatch.setattr("llmauth.credentials.cache._LATE_FOR", -1.0)
    else:
        source.forget()
    assert (await source.load()).credential == ApiKey(value=Secret("today"))


async def test_a_fetch_that_is_over_at_once_keeps_no_other_away() -> None:
    """As on mitmproxy's loop, which runs a task as far as it comes before it is given back."""
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    clock, there = ManualClock(), False

    async def fetch() -> Found:
        if not there:
            raise NothingFound(1.0, usable=False)
        return Found(loaded=loaded(), strategy="one")

    lease = Lease(fetch, clock)
    began = time.monotonic()
    assert await lease.acquire(1.0) is None
    assert time.monotonic() - began < 0.5
    there = True
    clock.advance(2)
    assert await lease.acquire(1.0) is not None
