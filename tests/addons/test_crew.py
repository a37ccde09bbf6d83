"""Jobs in threads: in order, so many at a time, and no further one once one has failed."""

from __future__ import annotations

import asyncio
import threading

import pytest

from addons.crew import Crew


def test_results_are_in_the_order_of_the_jobs_whoever_is_done_first() -> None:
    first = threading.Event()

    def waits() -> int:
        assert first.wait(5)
        return 0

    def goes() -> int:
        first.set()
        return 1

    assert Crew([waits, goes]).start(2).result(5) == [0, 1]


def test_no_more_at_a_time_than_was_said() -> None:
    now, most, lock = [0], [0], threading.Lock()
    full = threading.Barrier(3)

    def job() -> int:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        full.wait(5)
        with lock:
            now[0] -= 1
        return 1

    assert Crew([job] * 6).start(3).result(5) == [1] * 6
    assert most[0] == 3


def test_the_first_failure_is_that_of_all_and_nothing_begins_after_it() -> None:
    begun: list[int] = []

    def job(number: int) -> int:
        begun.append(number)
        if number == 1:
            raise ValueError(number)
        return number

    crew = Crew([lambda number=number: job(number) for number in range(5)])  # type: ignore[misc]
    with pytest.raises(ValueError, match="1"):
        crew.start(1).result(5)
    assert begun == [0, 1]


def test_also_what_is_no_exception_reaches_who_waits() -> None:
    def leaves() -> int:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        Crew([leaves]).start(1).result(5)


async def test_stopped_it_begins_nothing_more_and_a_waiter_may_leave() -> None:
    begun, go = [], threading.Event()

    def job() -> int:
        begun.append(1)
        go.wait(5)
        return 1

    crew = Crew([job] * 10)
    work = crew.start(2)
    waiting = asyncio.wrap_future(work)
    waiting.cancel()
    crew.stop()
    go.set()
    await asyncio.sleep(0.05)
    assert len(begun) <= 2
    assert not work.cancelled()
