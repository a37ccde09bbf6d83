"""How long something is lent: by the clock that ran further."""

from __future__ import annotations

from llmauth.clock import ManualClock
from llmauth.vaults.hashicorp.terms import Term


class Jumping(ManualClock):
    """Its wall clock can be set."""

    def jump(self, seconds: float) -> None:
        self._wall += seconds


def test_due_at_two_thirds() -> None:
    clock = ManualClock()
    term = Term.begun(900, clock)
    clock.advance(599)
    assert (term.is_due(clock), term.left(clock)) == (False, 301)
    clock.advance(1)
    assert (term.is_due(clock), term.left(clock)) == (True, 300)


def test_what_has_no_end() -> None:
    clock = ManualClock()
    term = Term.begun(None, clock)
    clock.advance(1e9)
    assert term.is_due(clock) is False
    assert term.lasting(60).left(clock) == 60 - 1e9


def test_a_wall_clock_that_jumps_makes_nothing_younger() -> None:
    clock = Jumping()
    term = Term.begun(100, clock)
    clock.jump(-3600)
    clock.advance(90)
    assert term.left(clock) == 10
    clock.jump(7200)  # as after the sleep of a laptop, which the other clock did not count
    assert term.left(clock) < 0
