"""Whoever guesses waits longer and longer."""

from __future__ import annotations

from llmauth.authenticators.lockout import FREE, LONGEST_SECONDS, Lockout
from llmauth.clock import ManualClock


def test_the_fifth_wrong_value_locks_and_each_further_one_for_twice_as_long() -> None:
    clock = ManualClock()
    lockout = Lockout(clock)
    waits = []
    for _ in range(20):
        lockout.failed("alice")
        waited = 0.0
        while lockout.is_locked("alice"):
            clock.advance(0.5)
            waited += 0.5
        waits.append(waited)
    assert waits[: FREE - 1] == [0.0] * 4
    assert waits[4:9] == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert waits[-1] == LONGEST_SECONDS
    assert not lockout.is_locked("bob")


def test_a_right_value_begins_anew() -> None:
    lockout = Lockout(ManualClock())
    for _ in range(9):
        lockout.failed("alice")
    assert lockout.is_locked("alice")
    lockout.passed("alice")
    assert not lockout.is_locked("alice")
    for _ in range(FREE - 1):
        lockout.failed("alice")
    assert not lockout.is_locked("alice")


def test_of_made_up_names_the_last_ones_are_kept() -> None:
    lockout = Lockout(ManualClock(), most=3)
    for name in ("a", "b", "a", "c", "d"):
        for _ in range(FREE):
            lockout.failed(name)
    assert {name for name in "abcd" if lockout.is_locked(name)} == {"a", "c", "d"}
