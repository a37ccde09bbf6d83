"""An instance's chain: order, switching, back-off, status, log lines, and what a client is told."""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
from collections.abc import Callable

import pytest

from llmauth.clock import ManualClock
from llmauth.credentials.cache import Leased, Source
from llmauth.credentials.chain import Asked, Chain
from llmauth.errors import NoCredential
from llmauth.sources import SourceFailed, SourceUnavailable
from tests.fixtures.strategies import HOUR, Fake


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def lines(caplog) -> Callable[[], list[str]]:
    """What was logged at INFO and above since the last call."""
    caplog.set_level(logging.INFO)

    def take() -> list[str]:
        found = [f"{record.levelname} {record.getMessage()}" for record in caplog.records if record.levelno >= 20]
        caplog.clear()
        return found

    return take


def chain_of(clock, *strategies) -> Chain:
    slots = asyncio.Semaphore(4)
    return Chain("one", [Source(one, slots) for one in strategies], clock, lambda: 0.0)


async def acquired(chain: Chain) -> Leased:
    leased = await chain.lease.acquire(10.0)
    assert leased is not None
    return leased


async def refused(chain: Chain) -> NoCredential:
    assert await chain.lease.acquire(10.0) is None
    return chain.refusal()


async def renewed(chain: Chain) -> None:
    """Let what `held` started come to its end."""
    running = chain.lease._running
    if running is not None:
        await asyncio.wait({running})


async def label_now(chain: Chain) -> str:
    return (await acquired(chain)).strategy


# Order and switching


async def test_the_first_that_yields_is_active_and_the_rest_stand_by(clock, lines) -> None:
    absent = Fake("workload_identity (aws)", clock, SourceUnavailable("AWS workload identity not available on aks"))
    vault, secret = Fake("vault (hashicorp)", clock, HOUR), Fake("kubernetes_secret", clock)
    chain = chain_of(clock, absent, vault, secret)
    leased = await acquired(chain)
    assert (leased.strategy, leased.source, leased.generation) == ("vault (hashicorp)", "at vault (hashicorp)", 1)
    assert secret.loads == 0
    assert lines() == [
        "INFO [one] Trying strategy: workload_identity (aws)",
        "WARNING [one] ⚠️  AWS workload identity not available on aks",
        "INFO [one] Trying strategy: vault (hashicorp)",
        "INFO [one] ✅ Successfully initialized with vault",
        "INFO [one] Credentials TTL: 3600 seconds",
    ]


async def test_the_lines_of_a_workload_identity(clock, lines, caplog) -> None:
    await acquired(chain_of(clock, Fake("workload_identity", clock, HOUR)))
    assert [(record.instance, record.strategy) for record in caplog.records] == [("one", "workload_identity")] * 3
    assert lines() == [
        "INFO [one] Trying strategy: workload_identity",
        "INFO [one] ✅ Successfully initialized with workload_identity",
        "INFO [one] Credentials will auto-rotate every 60 minutes",
    ]


async def test_one_failed_renewal_changes_nothing(clock, lines) -> None:
    first, second = Fake("first", clock, HOUR), Fake("second", clock)
    chain = chain_of(clock, first, second)
    await acquired(chain)
    lines()
    first.answer = SourceFailed("AWS refused AssumeRole: AccessDenied")
    clock.advance(0.85 * HOUR)
    assert await label_now(chain) == "first"
    await renewed(chain)
    assert await label_now(chain) == "first"
    assert second.loads == 0
    assert lines() == ["ERROR [one] ❌ first failed: AWS refused AssumeRole: AccessDenied"]
    assert chain.status().state == "ready"


async def test_after_the_end_the_next_serves_and_the_better_returns_at_a_renewal(clock, lines) -> None:
    first, second = Fake("first", clock, HOUR), Fake("second", clock)
    chain = chain_of(clock, first, second)
    await acquired(chain)
    lines()
    first.answer = SourceFailed("down")
    clock.advance(HOUR)
    assert chain.lease.held() is None
    assert await label_now(chain) == "second"
    assert lines() == [
        "INFO [one] Trying strategy: first",
        "ERROR [one] ❌ first failed: down",
        "INFO [one] Trying strategy: second",
        "WARNING [one] Credentials now come from second, not from first: down",
        "INFO [one] ✅ Successfully initialized with second",
    ]
    first.answer = HOUR
    clock.advance(61)
    assert await label_now(chain) == "second"
    await renewed(chain)
    assert await label_now(chain) == "first"
    assert "WARNING [one] Credentials now come from first, not from second: it is available again" in lines()


async def test_a_renewal_that_failed_just_before_the_end_does_not_block_the_next(clock) -> None:
    first, second = Fake("first", clock, HOUR), Fake("second", clock)
    chain = chain_of(clock, first, second)
    await acquired(chain)
    first.answer = SourceFailed("down")
    clock.advance(HOUR - 0.5)
    chain.lease.held()
    await renewed(chain)
    clock.advance(0.5)
    assert await label_now(chain) == "second"
    assert first.loads == 2  # asked once in this step of its back-off


async def test_a_reason_is_logged_once_and_a_new_one_again(clock, lines) -> None:
    only = Fake("only", clock, SourceFailed("down"))
    chain = chain_of(clock, only)
    for _ in range(5):
        await refused(chain)
        clock.advance(60)
    only.answer = SourceFailed("still down, differently")
    await refused(chain)
    assert only.loads == 6
    assert lines() == [
        "INFO [one] Trying strategy: only",
        "ERROR [one] ❌ only failed: down",
        "ERROR [one] ❌ only failed: still down, differently",
    ]


# Refusing


async def test_a_client_sees_labels_and_the_log_the_reasons(clock, lines) -> None:
    absent = Fake("workload_identity (aws)", clock, SourceUnavailable("not here"))
    broken = Fake("file", clock, SourceFailed("/etc/key cannot be read: EACCES"))
    error = await refused(chain_of(clock, absent, broken))
    assert error.status == 500
    assert error.code == "credential_unavailable"
    assert error.message == "Cannot authenticate to provider one (tried workload_identity (aws), file)."
    assert error.hint == "Not your key. Tell whoever runs this gateway."
    assert "EACCES" not in error.sentence
    assert error.detail == "workload_identity (aws): not here; file: /etc/key cannot be read: EACCES"


async def test_an_unexpected_error_is_told_by_its_class(clock, lines) -> None:
    """R1: texts of libraries carry URLs, headers and signed requests."""
    chain = chain_of(clock, Fake("only", clock, RuntimeError("canary-7f3a")))
    error = await refused(chain)
    assert error.detail == "only: unexpected RuntimeError"
    assert not any("canary" in line for line in lines())


async def test_nothing_that_has_ended_is_leased(clock) -> None:
    """S11: an expired credential is an error, never a request."""
    chain = chain_of(clock, Fake("only", clock, -1.0))
    error = await refused(chain)
    assert "has already ended" in error.detail


async def test_a_source_that_is_away_is_asked_once_a_step_and_soon_noticed_back(clock) -> None:
    """F2: recovery within 15 s, without a restart."""
    only = Fake("only", clock, SourceFailed("down"))
    chain = chain_of(clock, only)
    asked: list[float] = []
    begun = clock.monotonic()
    for _ in range(600):
        before = only.loads
        await refused(chain)
        if only.loads > before:
            asked.append(round(clock.monotonic() - begun, 1))
        clock.advance(0.1)
    steps = [later - earlier for earlier, later in itertools.pairwise(asked)]
    first_minute = [1, 2, 4, *[5] * 9]
    assert steps[:12] == pytest.approx(first_minute, abs=0.11)
    only.answer = HOUR
    clock.advance(10)
    assert await label_now(chain) == "only"


async def test_after_the_first_minute_the_steps_grow_longer(clock) -> None:
    only = Fake("only", clock, SourceFailed("down"))
    chain = chain_of(clock, only)
    clock.advance(60)
    asked: list[float] = []
    for _ in range(400):
        before = only.loads
        await refused(chain)
        if only.loads > before:
            asked.append(clock.monotonic())
        clock.advance(0.1)
    steps = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert steps == pytest.approx([1, 2, 4, 8, 8, 8, 8], abs=0.11)


async def test_an_answer_ends_the_back_off(clock) -> None:
    only = Fake("only", clock, SourceFailed("down"))
    chain = chain_of(clock, only)
    for wait in (0, 1, 2):
        clock.advance(wait)
        await refused(chain)
    clock.advance(4)
    only.answer = HOUR
    leased = await acquired(chain)
    only.answer = SourceFailed("down")
    chain.lease.discard(leased.generation)
    for wait, loads in ((0, 5), (1, 6)):
        clock.advance(wait)
        await refused(chain)
        assert only.loads == loads


async def test_what_is_not_available_here_is_not_asked_again_for_five_seconds(clock) -> None:
    only = Fake("only", clock, SourceUnavailable("not here"))
    chain = chain_of(clock, only)
    clock.advance(60)
    for wait, loads in [(0, 1), (4.9, 1), (0.1, 2), (7.9, 2), (0.1, 3)]:
        clock.advance(wait)
        await refused(chain)
        assert only.loads == loads


async def test_a_better_strategy_that_stays_away_is_asked_less_and_less(clock) -> None:
    absent, only = Fake("absent", clock, SourceUnavailable("not here")), Fake("only", clock)
    chain = chain_of(clock, absent, only)
    await acquired(chain)
    for _ in range(30):
        clock.advance(61)
        chain.lease.held()
        await renewed(chain)
    assert only.loads == 31
    assert absent.loads == 31  # never more often than once a minute
    clock.advance(30)
    chain.lease.held()
    await renewed(chain)
    assert absent.loads == 31


# Between two renewals


async def test_a_better_strategy_is_returned_to_when_it_recovers_and_not_only_at_a_renewal(clock, lines) -> None:
    better, worse = Fake("workload_identity", clock, SourceFailed("down")), Fake("vault (hashicorp)", clock, HOUR)
    chain = chain_of(clock, better, worse)
    await acquired(chain)
    lines()
    chain.keep()
    await renewed(chain)
    assert better.loads == 1  # its wait is not over
    better.answer = HOUR
    clock.advance(1)
    chain.keep()
    await renewed(chain)
    assert await label_now(chain) == "workload_identity"
    assert worse.loads == 1  # nobody asks the worse one about this
    assert lines() == [
        "WARNING [one] Credentials now come from workload_identity, not from vault (hashicorp): it is available again",
        "INFO [one] ✅ Successfully initialized with workload_identity",
        "INFO [one] Credentials will auto-rotate every 60 minutes",
    ]


async def test_a_look_in_vain_changes_nothing(clock) -> None:
    better, worse = Fake("better", clock, SourceFailed("down")), Fake("worse", clock, HOUR)
    chain = chain_of(clock, better, worse)
    leased = await acquired(chain)
    for _ in range(100):
        clock.advance(1)
        chain.keep()
        await renewed(chain)
    assert await acquired(chain) is leased
    assert worse.loads == 1
    assert 5 < better.loads < 25
    clock.advance(HOUR * 0.8)
    chain.keep()
    await renewed(chain)
    assert worse.loads == 2  # its own renewal was not put off by the looks


async def test_a_renewal_is_told_where_it_changed_something(clock, lines) -> None:
    only = Fake("only", clock, HOUR)
    chain = chain_of(clock, only)
    await acquired(chain)
    lines()
    for value, said in (("only", []), ("another", ["INFO [one] Credentials renewed by only"])):
        only.value = value
        clock.advance(HOUR * 0.8)
        chain.keep()
        await renewed(chain)
        assert lines() == said


# An expiry that is rehearsed


async def test_an_expiry_is_rehearsed_with_all_that_stand_by(clock) -> None:
    one, two, three = Fake("one", clock, HOUR), Fake("two", clock, HOUR), Fake("three", clock, SourceFailed("locked"))
    chain = chain_of(clock, one, two, three)
    await acquired(chain)
    one.answer = SourceFailed("down")
    told = await chain.rehearse(10.0)
    assert (told.instance, told.before, told.after, told.expires_at) == ("one", "one", "two", clock.wall() + HOUR)
    assert [(each.label, each.reason) for each in told.standby] == [("one", "down"), ("three", "locked")]
    assert await label_now(chain) == "two"


async def test_a_rehearsal_in_which_nobody_gives_another_one_harms_nobody(clock) -> None:
    only = Fake("only", clock, HOUR)
    chain = chain_of(clock, only)
    leased = await acquired(chain)
    only.answer = SourceFailed("down")
    told = await chain.rehearse(10.0)
    assert (told.before, told.after, told.standby) == ("only", None, ())
    assert await acquired(chain) is leased
    status = chain.status()
    assert (status.state, status.degraded) == ("ready", True)
    assert status.mishap is not None
    assert (status.mishap.strategy, status.mishap.reason) == ("only", "down")


# A source that was given something new


async def test_a_better_source_is_asked_at_once_although_its_time_has_not_come(clock) -> None:
    first, second = Fake("keyring", clock, HOUR), Fake("environment", clock, HOUR)
    first.answer = SourceUnavailable("nothing there")
    chain = chain_of(clock, first, second)
    assert await label_now(chain) == "environment"
    first.answer = None
    asked = first.loads
    await chain.look_again(10.0)
    assert first.loads == asked + 1
    assert await label_now(chain) == "keyring"


async def test_what_is_held_serves_where_nobody_gives_another(clock) -> None:
    only = Fake("only", clock, HOUR)
    chain = chain_of(clock, only)
    leased = await acquired(chain)
    only.answer = SourceFailed("down")
    await chain.look_again(10.0)
    assert (await acquired(chain)).generation == leased.generation
    assert chain.status().state == "ready"


async def test_a_source_that_failed_a_moment_ago_is_asked_all_the_same(clock) -> None:
    only = Fake("only", clock, HOUR)
    only.answer = SourceFailed("down")
    chain = chain_of(clock, only)
    await refused(chain)
    only.answer = None
    await chain.look_again(10.0)
    assert await label_now(chain) == "only"


# Ends that are none


@pytest.mark.parametrize("life", [1.8e12, math.inf, math.nan], ids=["milliseconds", "infinite", "no number"])
async def test_an_end_that_is_no_moment_is_not_taken(clock, life) -> None:
    """It could not be shown, and whoever shows it fails: every request, for as long as such a life lasts."""
    odd, good = Fake("workload_identity (oci)", clock, life), Fake("environment", clock, HOUR)
    chain = chain_of(clock, odd, good)
    assert await label_now(chain) == "environment"
    assert odd.loads == 1
    assert "no moment" in (chain.status().strategies[0].reason or "")


async def test_r5_whoever_observes_is_told_of_each_time_that_a_source_was_asked(clock) -> None:
    told: list[Asked] = []
    absent = Fake("keyring", clock, SourceUnavailable("no keyring here"))
    broken, vault = Fake("file", clock, SourceFailed("not a key")), Fake("vault (hashicorp)", clock, HOUR)
    slots = asyncio.Semaphore(4)
    chain = Chain("one", [Source(one, slots) for one in (absent, broken, vault)], clock, lambda: 0.0, told.append)
    leased = await acquired(chain)
    assert told == [
        Asked(strategy="keyring", result="unavailable", reason="no keyring here"),
        Asked(strategy="file", result="error", reason="not a key"),
        Asked(
            strategy="vault (hashicorp)", result="success", source="at vault (hashicorp)", expires_at=leased.expires_at
        ),
    ]
