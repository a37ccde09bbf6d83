"""One scope's buckets, counts and money, by the millisecond."""

import pytest

from llmauth.governance.buckets import DEEPEST, UNIT, State, wanted
from llmauth.governance.demands import Scope
from llmauth.governance.periods import Span

SIXTY = Scope(key="user:a", rpm=60, tpm=600)


def asked(state: State, scope: Scope, now: int, tokens: int = 1) -> bool:
    state.follow(scope, now, None)
    if not state.has_room(scope, tokens, 0):
        return False
    state.take(scope, tokens, 0)
    return True


def test_a_bucket_is_full_at_first_and_refills_evenly():
    state = State(0)
    assert [asked(state, SIXTY, 0) for _ in range(61)] == [True] * 60 + [False]
    assert not asked(state, SIXTY, 999)
    assert asked(state, SIXTY, 1000)
    assert not asked(state, SIXTY, 1999)
    assert [asked(state, SIXTY, 3000) for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize("rate", [1, 7, 59, 61, 333, 10**9])
def test_no_rounding_loses_or_gives_anything(rate):
    scope = Scope(key="a", rpm=rate)
    state = State(0)
    state.follow(scope, 0, None)
    state.requests = 0
    for now in range(7, 60_001, 7):
        state.follow(scope, now, None)
    state.follow(scope, 60_000, None)
    assert state.requests == rate * UNIT


def test_in_any_stretch_no_more_than_the_limit_and_the_refill():
    state, scope = State(0), Scope(key="a", rpm=30)
    times = [now for now in range(0, 300_000, 100) if asked(state, scope, now)]
    for at, first in enumerate(times):
        within = [later for later in times[at:] if later - first <= 60_000]
        assert len(within) <= 30 + 30 + 1


def test_a_clock_that_was_put_back_refills_nothing_twice():
    state = State(0)
    assert all(asked(state, SIXTY, 50_000) for _ in range(60))
    assert not asked(state, SIXTY, 20_000)
    assert not asked(state, SIXTY, 50_500)
    assert asked(state, SIXTY, 51_000)


def test_a_clock_that_was_put_back_far_is_followed():
    state = State(0)
    assert all(asked(state, SIXTY, 10_000_000) for _ in range(60))
    assert not asked(state, SIXTY, 0)
    assert asked(state, SIXTY, 1000)


def test_a_bucket_that_does_not_count_refills_all_the_same():
    state, without = State(0), Scope(key="user:a", concurrent=9)
    assert all(asked(state, SIXTY, 0) for _ in range(60))
    assert all(asked(state, without, now) for now in range(0, 5000, 700))
    assert [asked(state, SIXTY, 5000) for _ in range(6)] == [True] * 5 + [False]


def test_debt_has_a_bottom():
    state, scope = State(0), Scope(key="a", tpm=1)
    asked(state, scope, 0)
    state.settle(scope, 10**15, 0, 0)
    assert state.tokens == DEEPEST


def test_nothing_given_back_fills_more_than_the_bucket():
    state = State(0)
    asked(state, SIXTY, 0, 10)
    state.settle(SIXTY, -10_000, 0, 0)
    assert state.tokens == 600 * UNIT


def test_what_is_larger_than_the_bucket_wants_it_full():
    assert wanted(5000, 600) == 600 * UNIT
    assert wanted(5, 600) == 5 * UNIT


def test_money_is_given_back_to_the_period_that_it_was_taken_from():
    state, scope = State(0), Scope(key="a", budget=100)
    state.follow(scope, 0, Span(0, 3600))
    state.take(scope, 1, 80)
    state.follow(scope, 3_600_000, Span(3600, 7200))
    assert state.spent == 0
    state.take(scope, 1, 30)
    state.settle(scope, 0, -50, 0)  # of the former hour
    assert state.spent == 30
    state.settle(scope, 0, 20, 0)  # it has cost more than was reserved: that is new
    state.settle(scope, 0, -10, 3600)
    assert state.spent == 40


def test_a_clock_that_was_put_back_gives_nobody_a_second_budget():
    state, scope = State(0), Scope(key="a", budget=100)
    state.follow(scope, 0, Span(3600, 7200))
    state.take(scope, 1, 100)
    state.follow(scope, 0, Span(0, 3600))
    assert not state.has_room(scope, 1, 0)


def test_only_what_stands_as_never_asked_is_idle():
    state = State(0)
    asked(state, SIXTY, 0, 1200)
    assert not state.is_idle(60_001, 0)
    assert state.is_idle(180_000, 0)
    state.running = 1
    assert not state.is_idle(180_000, 0)
