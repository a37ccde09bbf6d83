"""The scripts in Redis, held to the arithmetic of `buckets` and the calendar of `periods`, at any moment."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmauth.clock import ManualClock
from llmauth.governance.demands import Permit
from llmauth.governance.memory import MemoryLimiter
from llmauth.governance.periods import span_of
from llmauth.governance.redis_backend import RedisBackend
from llmauth.secrets import Secret
from tests.fixtures.limiters import demand

KEY = "{llmauth-limits}:test:now"
STEPS = st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 900), st.integers(0, 3)), min_size=1, max_size=12)
RULES = (
    {"rpm": 30, "tpm": 1000, "concurrent": 4, "budget": (2, "day")},
    {"tpm": 1000},
    {"concurrent": 3},
)
of_server = settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])


def backend_at(url: str) -> RedisBackend:
    """One whose clock is a key."""
    return RedisBackend(Secret(url), "here", time=f"local now = tonumber(redis.call('GET', '{KEY}'))")


@given(moment=st.integers(604_800, 4_102_444_800), per=st.sampled_from(["hour", "day", "week", "month"]))
@of_server
def test_periods_begin_where_the_calendar_says(redis_server, moment, per):
    async def began() -> int:
        backend = backend_at(redis_server.url)
        await backend._client.flushdb()
        await backend._client.set(KEY, moment * 1000 + 999)
        await backend.enter("h", None, {})
        answer = await backend.admit("h", demand(user_a={"budget": (5, per)}))
        await backend.close()
        return answer.readings[0].began

    assert asyncio.run(began()) == span_of(per, moment).began


@given(steps=STEPS)
@of_server
def test_the_scripts_count_as_memory_does(redis_server, steps):
    """The same questions at the same moments, and the same answers."""
    asyncio.run(compare(redis_server.url, steps))


async def compare(url: str, steps: list[tuple[int, int, int]]) -> None:
    clock = ManualClock(wall=1_800_000_000.0, monotonic=1_800_000_000.0)
    memory, backend = MemoryLimiter(clock), backend_at(url)
    await backend._client.flushdb()
    await backend.enter("h", None, {})
    running: list[Permit] = []
    for wait, tokens, which in steps:
        clock.advance(wait / 1000)
        await backend._client.set(KEY, int(clock.monotonic() * 1000))
        if which == 3 and running:
            settlement = running.pop().settlement(tokens, None)
            memory.apply(settlement)
            await backend.settle("h", settlement, ends=True)
            continue
        wanted = demand(tokens, "0.3", user_a=RULES[which % 3], key_b={"rpm": 40})
        expected = memory.try_now(wanted)
        answer = await backend.admit("h", wanted)
        assert answer.admitted is expected.open
        for told, own, scope in zip(answer.readings, expected.readings, wanted.scopes, strict=True):
            assert told.requests == (own.requests if scope.rpm is not None else None)
            assert told.tokens == (own.tokens if scope.tpm is not None else None)
            assert told.running == (own.running if scope.concurrent is not None else 0)
            assert told.spent == own.spent
        if expected.open:
            running.append(expected)
    await backend.close()


async def test_idle_callers_leave_redis_and_spent_money_stays(redis_url):
    backend = RedisBackend(Secret(redis_url), "here")
    await backend.enter("h", None, {})
    await backend.admit("h", demand(user_a={"rpm": 5}))
    answer = await backend.admit("h", demand(cost="1", user_b={"budget": (5, "month")}))
    without = Permit(demand(user_b={"rpm": 5}), answer.readings)  # by a key that the budget is not for
    await backend.settle("h", without.settlement(1, None), ends=False)
    first, second = [await backend._client.pexpiretime("{llmauth-limits}:scope:user:" + name) for name in "ab"]
    seconds, _ = await backend._client.time()
    assert 60_000 < first - seconds * 1000 <= 121_000
    assert second >= span_of("month", int(seconds)).ends * 1000
    await backend.close()


@pytest.mark.parametrize("debt", [10**9, 10**11])
async def test_numbers_stay_exact_however_large(redis_url, debt):
    backend = backend_at(redis_url)
    await backend._client.set(KEY, 1_800_000_000_000)
    await backend.enter("h", None, {})
    wanted = demand(1, user_a={"tpm": 10**9})
    answer = await backend.admit("h", wanted)
    await backend.settle("h", Permit(wanted, answer.readings).settlement(debt, None), ends=True)
    (after,) = (await backend.admit("h", wanted)).readings
    assert after.tokens == (10**9 - debt) * 60_000
    await backend.close()
