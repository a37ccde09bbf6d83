"""The engine in memory: by a clock that tests move, and bounded."""

from decimal import Decimal

import pytest

from llmauth.clock import ManualClock
from llmauth.errors import InsufficientQuota, RateLimited, Unavailable
from llmauth.governance.memory import MemoryLimiter
from tests.fixtures.limiters import demand, demand_of, seconds_of


def test_the_time_that_is_told_is_the_time_that_suffices():
    clock = ManualClock()
    limiter = MemoryLimiter(clock)
    wanted = demand(user_a={"rpm": 7})
    for _ in range(7):
        limiter.admit_now(wanted)
    with pytest.raises(RateLimited) as refused:
        limiter.admit_now(wanted)
    clock.advance(seconds_of(refused))
    limiter.admit_now(wanted)
    with pytest.raises(RateLimited):
        limiter.admit_now(wanted)


def test_a_budget_renews_with_its_period():
    clock = ManualClock(wall=1_800_000_000.0)
    limiter = MemoryLimiter(clock)
    wanted = demand(cost="1", user_a={"budget": (1, "hour")})
    limiter.settle(limiter.admit_now(wanted), 1, None)
    with pytest.raises(InsufficientQuota) as refused:
        limiter.admit_now(wanted)
    clock.advance(seconds_of(refused) - 1)
    with pytest.raises(InsufficientQuota):
        limiter.admit_now(wanted)
    clock.advance(1)
    limiter.admit_now(wanted)


def test_callers_who_stay_away_are_forgotten():
    clock = ManualClock()
    limiter = MemoryLimiter(clock)
    for number in range(100):
        limiter.release(limiter.admit_now(demand_of({f"user:{number}": {"rpm": 5, "concurrent": 5}})))
    clock.advance(120)
    for number in range(100):
        limiter.release(limiter.admit_now(demand_of({f"new:{number}": {"rpm": 5}})))
    assert len(limiter) <= 101


def test_what_still_counts_is_never_forgotten_so_there_are_bounds():
    clock = ManualClock()
    limiter = MemoryLimiter(clock, most=10)
    for number in range(10):
        limiter.admit_now(demand_of({f"user:{number}": {"concurrent": 1}}))
    clock.advance(1000)
    with pytest.raises(Unavailable):
        limiter.admit_now(demand(user_new={"concurrent": 1}))
    with pytest.raises(RateLimited):
        limiter.admit_now(demand_of({"user:3": {"concurrent": 1}}))


def test_money_that_was_spent_is_kept_until_its_period_ends():
    clock = ManualClock()
    limiter = MemoryLimiter(clock)
    wanted = demand(cost="1", user_a={"budget": (1, "month")})
    limiter.settle(limiter.admit_now(wanted), 5, Decimal(1))
    clock.advance(3600)
    for number in range(50):
        limiter.release(limiter.admit_now(demand_of({f"user:{number}": {"rpm": 5}})))
    with pytest.raises(InsufficientQuota):
        limiter.admit_now(wanted)


def test_what_runs_is_told():
    limiter = MemoryLimiter(ManualClock())
    permit = limiter.admit_now(demand(user_a={"concurrent": 2}, key_b={"rpm": 2}))
    assert limiter.running() == {"user:a": 1}
    limiter.occupy("user:a", 1)
    limiter.release(permit)
    limiter.occupy("user:a", -5)
    assert limiter.running() == {}
