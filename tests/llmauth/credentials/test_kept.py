"""What is kept is given again while it is young, and asked for once however many want it."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from time import sleep

import pytest

from llmauth.clock import ManualClock
from llmauth.credentials.kept import Kept, Youth
from llmauth.secrets import ApiKey, Loaded, Secret
from llmauth.sources import SourceFailed
from tests.fixtures.strategies import HOUR, Fake


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def test_it_is_asked_anew_after_a_share_of_its_life(clock) -> None:
    source = Fake("s", clock, HOUR)
    kept = Kept(source.load, clock)
    first = kept.get()
    clock.advance(HOUR * 0.69)
    assert kept.get() is first
    clock.advance(HOUR * 0.02)
    assert kept.get() is not first
    assert source.loads == 2


def test_one_without_an_end_is_asked_for_every_minute(clock) -> None:
    source = Fake("s", clock)
    kept = Kept(source.load, clock, static=60.0)
    for seconds, loads in ((0, 1), (41, 1), (2, 2)):
        clock.advance(seconds)
        kept.get()
        assert source.loads == loads


def test_one_that_was_refused_is_asked_for_at_once(clock) -> None:
    source = Fake("s", clock, HOUR)
    kept = Kept(source.load, clock)
    kept.get()
    kept.forget()
    kept.get()
    assert source.loads == 2


def test_a_failure_is_passed_on_and_not_kept(clock) -> None:
    source = Fake("s", clock, SourceFailed("down"))
    kept = Kept(source.load, clock)
    with pytest.raises(SourceFailed):
        kept.get()
    source.answer = HOUR
    assert kept.get().source == "at s"


def test_many_threads_cause_one_fetch(clock) -> None:
    asked = []

    def load() -> Loaded:
        asked.append(1)
        sleep(0.05)
        return Loaded(credential=ApiKey(value=Secret("k")), source="s")

    kept = Kept(load, clock)
    with ThreadPoolExecutor(20) as pool:
        assert len({id(found) for found in pool.map(lambda _: kept.get(), range(20))}) == 1
    assert len(asked) == 1


def test_a_jump_of_one_clock_makes_nothing_younger() -> None:
    clock = ManualClock()
    youth = Youth.of(100, clock)
    assert not youth.is_over(clock)
    assert Youth(wall=clock.wall() + 70, monotonic=clock.monotonic() - 1).is_over(clock)
    assert Youth(wall=clock.wall() - 1, monotonic=clock.monotonic() + 70).is_over(clock)


def test_who_waited_for_what_failed_does_not_ask_again() -> None:
    """Ten instances of one vault would else wait for one another, each for longer than a load may take."""
    count, reasons = 0, []

    def load() -> Loaded:
        nonlocal count
        count += 1
        time.sleep(0.2)
        raise SourceFailed("silent")

    kept = Kept(load, ManualClock())

    def get() -> None:
        try:
            kept.get()
        except SourceFailed as failure:
            reasons.append(failure.reason)

    threads = [threading.Thread(target=get) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (count, reasons) == (1, ["silent"] * 6)
    get()
    assert count == 2, "who comes later asks again"


def test_what_was_looked_for_before_it_was_forgotten_is_not_kept() -> None:
    clock, begun, go = ManualClock(), threading.Event(), threading.Event()
    values = iter(["refused", "new"])

    def load() -> Loaded:
        value = next(values)
        begun.set()
        go.wait(5)
        return Loaded(credential=ApiKey(value=Secret(value)), source="x", expires_at=clock.wall() + 3600)

    kept = Kept(load, clock)
    thread = threading.Thread(target=kept.get)
    thread.start()
    begun.wait(5)
    kept.forget()
    go.set()
    thread.join()
    assert kept.get().credential == ApiKey(value=Secret("new"))
