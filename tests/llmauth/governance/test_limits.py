"""Every engine of limits, held to the same: exact under a crowd, all or nothing, and nothing left behind."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal

import pytest

from llmauth.errors import InsufficientQuota, RateLimited
from tests.fixtures.limiters import KINDS, SHARED, demand, demand_of, opened, place, seconds_of, tried, workers

each_kind = pytest.mark.parametrize("kind", KINDS)
each_shared = pytest.mark.parametrize("kind", SHARED)


@pytest.fixture
def where(kind, tmp_path, request):
    with place(kind, tmp_path, request) as found:
        yield found


@each_kind
async def test_one_more_than_the_limit_is_refused_with_a_time(kind, where):
    async with opened(kind, where) as limiter:
        assert len(await tried(limiter, demand(user_a={"rpm": 2}), 2)) == 2
        with pytest.raises(RateLimited) as refused:
            await limiter.admit(demand(user_a={"rpm": 2}))
    assert 1 <= seconds_of(refused) <= 30
    assert (refused.value.limit, refused.value.status, refused.value.code) == ("requests", 429, "rate_limit_exceeded")
    assert "2 requests per minute" in refused.value.message


@each_kind
async def test_requests_are_exact_under_five_times_the_limit(kind, where):
    async with opened(kind, where) as limiter:
        began = time.monotonic()
        got = len(await tried(limiter, demand(user_a={"rpm": 20}), 100))
        assert 20 <= got <= 20 + (time.monotonic() - began) * 20 / 60


@each_kind
async def test_what_runs_at_a_time_is_exact_under_five_times_the_limit(kind, where):
    async with opened(kind, where) as limiter:
        wanted = demand(user_a={"concurrent": 8}, key_b={"concurrent": 50})
        permits = await tried(limiter, wanted, 40)
        assert len(permits) == 8
        for permit in permits[:3]:
            limiter.settle(permit, 5, None)
            limiter.settle(permit, 5, None)  # told twice, and counted once
        await _soon(lambda: _count(limiter, wanted), 3)
        limiter.release(permits[3])
        await _soon(lambda: _count(limiter, wanted), 1)


async def _count(limiter, wanted):
    return len(await tried(limiter, wanted, 10))


async def _soon(ask, expected):
    """What is told of an end arrives a moment later where others count."""
    got, end = 0, time.monotonic() + 5
    while got < expected and time.monotonic() < end:
        got += await ask()
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    assert got + await ask() == expected


@each_kind
async def test_nobody_takes_a_part(kind, where):
    """All or nothing: the scope with room keeps it, whichever stands first."""
    async with opened(kind, where) as limiter:
        full, free = {"rpm": 1}, {"rpm": 3, "tpm": 100, "concurrent": 3, "budget": (3, "day")}
        await limiter.admit(demand(user_a=full))
        for _ in range(10):
            assert await tried(limiter, demand(30, "1", key_b=free, user_a=full), 1) == []
            assert await tried(limiter, demand(30, "1", user_a=full, key_b=free), 1) == []
        assert len(await tried(limiter, demand(30, "1", key_b=free), 5)) == 3


@each_kind
async def test_tokens_are_reserved_and_settled(kind, where):
    async with opened(kind, where) as limiter:
        wanted = demand(400, user_a={"tpm": 1000})
        first, second = await tried(limiter, wanted, 5)
        limiter.settle(first, 100, None)
        limiter.settle(second, 400, None)
        await _soon(lambda: _count(limiter, wanted), 1)  # 1000 - 100 - 400, and the third 400


@each_kind
async def test_debt_is_paid_back_first(kind, where):
    async with opened(kind, where) as limiter:
        permit = await limiter.admit(demand(10, user_a={"tpm": 60}))
        limiter.settle(permit, 1000, None)
        await asyncio.sleep(0.1)
        with pytest.raises(RateLimited) as refused:
            await limiter.admit(demand(10, user_a={"tpm": 60}))
        assert 900 <= seconds_of(refused) <= 960
        assert refused.value.limit == "tokens"


@each_kind
async def test_what_is_larger_than_the_bucket_waits_until_it_is_full(kind, where):
    async with opened(kind, where) as limiter:
        assert len(await tried(limiter, demand(5000, user_a={"tpm": 1000}), 5)) == 1
        with pytest.raises(RateLimited) as refused:
            await limiter.admit(demand(1, user_a={"tpm": 1000}))
        assert seconds_of(refused) >= 230  # 4000 in debt, at 1000 a minute


@each_kind
async def test_money_is_reserved_and_settled(kind, where):
    async with opened(kind, where) as limiter:
        wanted = demand(cost="0.40", user_a={"budget": ("1.00", "month")})
        first, second = await tried(limiter, wanted, 5)
        limiter.settle(first, 10, Decimal("0.000000001"))
        await _soon(lambda: _count(limiter, wanted), 1)
        limiter.settle(second, 10, Decimal("0.60"))
        await asyncio.sleep(0.1)
        with pytest.raises(InsufficientQuota) as refused:
            await limiter.admit(demand(user_a={"budget": ("1.00", "month")}))
    assert seconds_of(refused) > 0
    assert refused.value.message == "The budget of 1.00 per month of this user is spent."


@each_kind
@pytest.mark.parametrize("per", ["hour", "day", "week", "month"])
async def test_a_budget_tells_when_its_period_ends(kind, where, per):
    longest = {"hour": 3600, "day": 86_400, "week": 604_800, "month": 31 * 86_400}[per]
    async with opened(kind, where) as limiter:
        permits = await tried(limiter, demand(cost="1", user_a={"budget": (2, per)}), 10)
        assert len(permits) == 2
        with pytest.raises(InsufficientQuota) as refused:
            await limiter.admit(demand(cost="1", user_a={"budget": (2, per)}))
    assert 0 < seconds_of(refused) <= longest


@each_kind
async def test_what_came_to_nothing_gives_back_its_reserves(kind, where):
    async with opened(kind, where) as limiter:
        wanted = demand(1000, "1", user_a={"tpm": 1000, "budget": (1, "day"), "concurrent": 1})
        for _ in range(5):
            permit = await limiter.admit(wanted)
            limiter.release(permit)
            await asyncio.sleep(0.05)


@each_kind
async def test_what_is_refused_takes_nothing(kind, where):
    async with opened(kind, where) as limiter:
        wanted = demand(10, "0.1", user_a={"concurrent": 1, "rpm": 3, "tpm": 30, "budget": ("0.3", "day")})
        permit = await limiter.admit(wanted)
        assert await tried(limiter, wanted, 50) == []
        for _ in range(2):
            limiter.settle(permit, 10, Decimal("0.1"))
            await asyncio.sleep(0.1)
            permit = await limiter.admit(wanted)
        with pytest.raises(RateLimited):
            await limiter.admit(wanted)


@each_kind
async def test_without_numbers_nobody_is_asked(kind, where):
    async with opened(kind, where) as limiter:
        permit = limiter.admit_now(demand())
        assert permit is not None
        limiter.settle(permit, 5, Decimal(1))


@each_kind
async def test_a_raised_limit_counts_at_once(kind, where):
    async with opened(kind, where) as limiter:
        await tried(limiter, demand(user_a={"concurrent": 2}), 5)
        assert len(await tried(limiter, demand(user_a={"concurrent": 5}), 5)) == 3


@each_kind
@pytest.mark.parametrize("name", ["user:ålice", "user:a b'\";--", "user:{x}:*", "user:" + "y" * 100])
async def test_scopes_of_any_name_are_apart(kind, where, name):
    async with opened(kind, where) as limiter:
        for key in (name, name + "2"):
            wanted = demand_of({key: {"rpm": 1}})
            assert len(await tried(limiter, wanted, 3)) == 1


@each_shared
def test_four_processes_together_are_exact(kind, where):
    """5 x the limit from four processes: exactly the limit, of requests, of what runs, and of money."""
    with workers(4, kind, where) as four:
        for scopes, limit in (
            ({"user_r": {"rpm": 20}}, 20),
            ({"user_c": {"concurrent": 12}, "key_c": {"concurrent": 13}}, 12),
            ({"user_m": {"budget": ["0.16", "month"]}}, 16),
        ):
            began = time.monotonic()
            for worker in four:
                worker.begin(limit * 5 // 4, scopes, cost="0.01")
            got = sum(worker.got() for worker in four)
            refilled = (time.monotonic() - began) * limit / 60 if "user_r" in scopes else 0
            assert limit <= got <= limit + refilled


@each_shared
async def test_a_killed_process_frees_what_it_held(kind, where):
    scopes = {"user_a": {"concurrent": 4}}
    async with opened(kind, where, 1.0) as limiter:
        with workers(2, kind, where, 1.0) as (one, other):
            one.begin(3, scopes)
            assert one.got() == 3
            other.begin(3, scopes)
            assert other.got() == 1
            await asyncio.sleep(1.5)  # longer than a lease, which both renew
            assert await tried(limiter, demand_of(scopes), 3) == []
            one.kill()
            await _soon(lambda: _count(limiter, demand_of(scopes)), 3)


@each_shared
async def test_a_process_that_stops_frees_what_it_held_at_once(kind, where):
    wanted = demand(user_a={"concurrent": 2})
    async with opened(kind, where) as stays:
        async with opened(kind, where) as goes:
            assert len(await tried(goes, wanted, 3)) == 2
            assert await tried(stays, wanted, 1) == []
        await _soon(lambda: _count(stays, wanted), 2)


@each_shared
async def test_who_goes_away_while_it_is_asked_holds_nothing(kind, where):
    wanted = demand(user_a={"concurrent": 1})
    async with opened(kind, where) as limiter:
        for moment in (0, 0.0005, 0.001, 0.002, 0.005):
            task = asyncio.ensure_future(limiter.admit(wanted))
            await asyncio.sleep(moment)
            if not task.cancel():
                limiter.release(task.result())
            await asyncio.gather(task, return_exceptions=True)
            await _is_freed(limiter, wanted)


async def _is_freed(limiter, wanted):
    """Whoever was given it late gives it back, within moments."""
    end = time.monotonic() + 2
    while not (permits := await tried(limiter, wanted, 1)):
        assert time.monotonic() < end
        await asyncio.sleep(0.01)
    limiter.release(permits[0])
    await asyncio.sleep(0.02)


@each_kind
async def test_a_request_that_a_limit_is_not_for_leaves_its_bucket_alone(kind, where):
    """A key with a higher number than its user's takes nothing of the user's, which refills meanwhile."""
    async with opened(kind, where) as limiter:
        everything = {"rpm": 600, "tpm": 1000}
        await tried(limiter, demand(300, user_a=everything), 1)
        await tried(limiter, demand(300, user_a={"concurrent": 50}), 20)
        assert len(await tried(limiter, demand(300, user_a=everything), 4)) == 2
        full = {"tpm": 60_000}  # one in a millisecond
        await limiter.admit(demand(60_000, user_b=full))
        for _ in range(5):
            await asyncio.sleep(0.02)
            await limiter.admit(demand(user_b={"concurrent": 50}))
        await limiter.admit(demand(90, user_b=full))
