"""The machine's clocks run; the tests' clock waits to be told."""

import time

from llmauth.clock import ManualClock, SystemClock


def test_the_system_clock_is_the_machines():
    clock = SystemClock()
    before = time.time(), time.monotonic()
    seen = clock.wall(), clock.monotonic()
    after = time.time(), time.monotonic()
    assert before[0] <= seen[0] <= after[0]
    assert before[1] <= seen[1] <= after[1]


def test_the_manual_clock_moves_both_hands_and_only_when_told():
    clock = ManualClock(wall=100.0, monotonic=5.0)
    assert (clock.wall(), clock.monotonic()) == (100.0, 5.0) == (clock.wall(), clock.monotonic())
    clock.advance(0.5)
    clock.advance(60)
    assert (clock.wall(), clock.monotonic()) == (160.5, 65.5)
