"""The credential router: order, switching, back-off, status, log lines, and what a client is told."""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
import time
import timeit
from collections.abc import Callable

import keyring
import pytest
from keyring.backend import KeyringBackend

from llmauth.clock import ManualClock, SystemClock
from llmauth.context import Target
from llmauth.credentials.base import StrategyFailed, StrategyUnavailable, Surroundings
from llmauth.credentials.keyring import KeyringOptions, KeyringStrategy
from llmauth.errors import NoCredential
from llmauth.routers.credential import CredentialRouter, InstanceStatus
from llmauth.secrets import ApiKey, Loaded, Secret

ONE = Target(instance="one", provider="openai")
TWO = Target(instance="two", provider="openai")
HOUR = 3600.0


class Fake:
    """A strategy whose next answers are set by the test: a life in seconds (None: no end), or an exception."""

    def __init__(self, label: str, clock: ManualClock, answer: float | Exception | None = None) -> None:
        self.label = label
        self.clock = clock
        self.answer = answer
        self.value = label
        self.loads = 0

    def load(self) -> Loaded:
        self.loads += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        ends = None if self.answer is None else self.clock.wall() + self.answer
        return Loaded(credential=ApiKey(value=Secret(self.value)), source=f"at {self.label}", expires_at=ends)


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


def router_of(clock, *strategies, **more) -> CredentialRouter:
    return CredentialRouter({"one": strategies}, clock, jitter=lambda: 0.0, **more)


async def renewed(router: CredentialRouter) -> None:
    """Let what `held` started come to its end."""
    running = router._chains["one"].lease._running
    if running is not None:
        await asyncio.wait({running})


async def label_now(router: CredentialRouter) -> str:
    leased, _ = router.held(ONE) or await router.acquire(ONE)
    return leased.strategy


# Order and switching


async def test_the_first_that_yields_is_active_and_the_rest_stand_by(clock, lines) -> None:
    absent = Fake("workload_identity (aws)", clock, StrategyUnavailable("AWS workload identity not available on aks"))
    vault, secret = Fake("vault (hashicorp)", clock, HOUR), Fake("kubernetes_secret", clock)
    router = router_of(clock, absent, vault, secret)
    leased, decision = await router.acquire(ONE)
    assert (leased.strategy, leased.source, leased.generation) == ("vault (hashicorp)", "at vault (hashicorp)", 1)
    assert (decision.router, decision.input, decision.outcome) == ("credential", "one", "vault (hashicorp)")
    assert decision.reason == "loaded 2027-01-15T08:00:00Z, ends 2027-01-15T09:00:00Z"
    assert secret.loads == 0
    assert lines() == [
        "INFO [one] Trying strategy: workload_identity (aws)",
        "WARNING [one] ⚠️  AWS workload identity not available on aks",
        "INFO [one] Trying strategy: vault (hashicorp)",
        "INFO [one] ✅ Successfully initialized with vault (hashicorp)",
        "INFO [one] Credentials TTL: 3600 seconds",
    ]


async def test_the_lines_of_a_workload_identity(clock, lines, caplog) -> None:
    await router_of(clock, Fake("workload_identity", clock, HOUR)).acquire(ONE)
    assert [(record.instance, record.strategy) for record in caplog.records] == [("one", "workload_identity")] * 3
    assert lines() == [
        "INFO [one] Trying strategy: workload_identity",
        "INFO [one] ✅ Successfully initialized with workload_identity",
        "INFO [one] Credentials will auto-rotate every 60 minutes",
    ]


async def test_one_failed_renewal_changes_nothing(clock, lines) -> None:
    first, second = Fake("first", clock, HOUR), Fake("second", clock)
    router = router_of(clock, first, second)
    await router.acquire(ONE)
    lines()
    first.answer = StrategyFailed("AWS refused AssumeRole: AccessDenied")
    clock.advance(0.85 * HOUR)
    assert await label_now(router) == "first"
    await renewed(router)
    assert await label_now(router) == "first"
    assert second.loads == 0
    assert lines() == ["ERROR [one] ❌ first failed: AWS refused AssumeRole: AccessDenied"]
    assert router.status()["one"].state == "ready"


async def test_after_the_end_the_next_serves_and_the_better_returns_at_a_renewal(clock, lines) -> None:
    first, second = Fake("first", clock, HOUR), Fake("second", clock)
    router = router_of(clock, first, second)
    await router.acquire(ONE)
    lines()
    first.answer = StrategyFailed("down")
    clock.advance(HOUR)
    assert router.held(ONE) is None
    assert await label_now(router) == "second"
    assert lines() == [
        "INFO [one] Trying strategy: first",
        "ERROR [one] ❌ first failed: down",
        "INFO [one] Trying strategy: second",
        "WARNING [one] Credentials now come from second, not from first: down",
        "INFO [one] ✅ Successfully initialized with second",
    ]
    first.answer = HOUR
    clock.advance(61)
    assert await label_now(router) == "second"
    await renewed(router)
    assert await label_now(router) == "first"
    assert "WARNING [one] Credentials now come from first, not from second: it is available again" in lines()


async def test_a_renewal_that_failed_just_before_the_end_does_not_block_the_next(clock) -> None:
    first, second = Fake("first", clock, HOUR), Fake("second", clock)
    router = router_of(clock, first, second)
    await router.acquire(ONE)
    first.answer = StrategyFailed("down")
    clock.advance(HOUR - 0.5)
    router.held(ONE)
    await renewed(router)
    clock.advance(0.5)
    assert await label_now(router) == "second"
    assert first.loads == 2  # asked once in this step of its back-off


async def test_a_reason_is_logged_once_and_a_new_one_again(clock, lines) -> None:
    only = Fake("only", clock, StrategyFailed("down"))
    router = router_of(clock, only)
    for _ in range(5):
        with pytest.raises(NoCredential):
            await router.acquire(ONE)
        clock.advance(60)
    only.answer = StrategyFailed("still down, differently")
    with pytest.raises(NoCredential):
        await router.acquire(ONE)
    assert only.loads == 6
    assert lines() == [
        "INFO [one] Trying strategy: only",
        "ERROR [one] ❌ only failed: down",
        "ERROR [one] ❌ only failed: still down, differently",
    ]


# Refusing


async def test_a_client_sees_labels_and_the_log_the_reasons(clock, lines) -> None:
    absent = Fake("workload_identity (aws)", clock, StrategyUnavailable("not here"))
    broken = Fake("file", clock, StrategyFailed("/etc/key cannot be read: EACCES"))
    with pytest.raises(NoCredential) as caught:
        await router_of(clock, absent, broken).acquire(ONE)
    assert caught.value.status == 500
    assert caught.value.code == "credential_unavailable"
    assert caught.value.message == "Cannot authenticate to provider one (tried workload_identity (aws), file)."
    assert "EACCES" not in caught.value.sentence
    assert caught.value.detail == "workload_identity (aws): not here; file: /etc/key cannot be read: EACCES"


async def test_an_unexpected_error_is_told_by_its_class(clock, lines) -> None:
    """R1: texts of libraries carry URLs, headers and signed requests."""
    router = router_of(clock, Fake("only", clock, RuntimeError("canary-7f3a")))
    with pytest.raises(NoCredential) as caught:
        await router.acquire(ONE)
    assert caught.value.detail == "only: unexpected RuntimeError"
    assert not any("canary" in line for line in lines())


async def test_nothing_that_has_ended_is_leased(clock) -> None:
    """S11: an expired credential is an error, never a request."""
    router = router_of(clock, Fake("only", clock, -1.0))
    with pytest.raises(NoCredential) as caught:
        await router.acquire(ONE)
    assert "has already ended" in caught.value.detail


@pytest.mark.parametrize("target", [ONE, TWO])
async def test_an_instance_without_strategies_and_an_unknown_one(clock, target) -> None:
    router = router_of(clock)
    assert router.held(target) is None
    with pytest.raises(NoCredential, match=f"Cannot authenticate to provider {target.instance}"):
        await router.acquire(target)


async def test_a_source_that_is_away_is_asked_once_a_step_and_soon_noticed_back(clock) -> None:
    """F2: recovery within 15 s, without a restart."""
    only = Fake("only", clock, StrategyFailed("down"))
    router = router_of(clock, only)
    asked: list[float] = []
    begun = clock.monotonic()
    for _ in range(600):
        before = only.loads
        with pytest.raises(NoCredential):
            await router.acquire(ONE)
        if only.loads > before:
            asked.append(round(clock.monotonic() - begun, 1))
        clock.advance(0.1)
    steps = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert steps == pytest.approx([1, 2, 4, 8, 10, 10, 10, 10], abs=0.11)
    only.answer = HOUR
    clock.advance(10)
    assert await label_now(router) == "only"


async def test_an_answer_ends_the_back_off(clock) -> None:
    only = Fake("only", clock, StrategyFailed("down"))
    router = router_of(clock, only)
    for wait in (0, 1, 2):
        clock.advance(wait)
        with pytest.raises(NoCredential):
            await router.acquire(ONE)
    clock.advance(4)
    only.answer = HOUR
    leased, _ = await router.acquire(ONE)
    only.answer = StrategyFailed("down")
    router.discard("one", leased.generation)
    for wait, loads in ((0, 5), (1, 6)):
        clock.advance(wait)
        with pytest.raises(NoCredential):
            await router.acquire(ONE)
        assert only.loads == loads


async def test_what_is_not_available_here_is_not_asked_again_for_five_seconds(clock) -> None:
    only = Fake("only", clock, StrategyUnavailable("not here"))
    router = router_of(clock, only)
    for wait, loads in [(0, 1), (4.9, 1), (0.1, 2), (9.9, 2), (0.1, 3)]:
        clock.advance(wait)
        with pytest.raises(NoCredential):
            await router.acquire(ONE)
        assert only.loads == loads


async def test_a_better_strategy_that_stays_away_is_asked_less_and_less(clock) -> None:
    absent, only = Fake("absent", clock, StrategyUnavailable("not here")), Fake("only", clock)
    router = router_of(clock, absent, only)
    await router.acquire(ONE)
    for _ in range(30):
        clock.advance(61)
        router.held(ONE)
        await renewed(router)
    assert only.loads == 31
    assert absent.loads == 31  # never more often than once a minute
    clock.advance(30)
    router.held(ONE)
    await renewed(router)
    assert absent.loads == 31


# Many at once, and hanging


async def test_a_thousand_requests_make_one_load() -> None:
    release = threading.Event()

    class Slow(Fake):
        def load(self) -> Loaded:
            release.wait(5)
            return super().load()

    clock = ManualClock()
    slow = Slow("slow", clock, HOUR)
    router = router_of(clock, slow)
    waiters = [asyncio.create_task(router.acquire(ONE)) for _ in range(1000)]
    await asyncio.sleep(0.02)
    release.set()
    answers = await asyncio.gather(*waiters)
    assert slow.loads == 1
    assert {leased.generation for leased, _ in answers} == {1}


async def test_a_strategy_that_hangs_gives_way_to_the_next_and_to_other_instances(clock) -> None:
    release = threading.Event()

    class Hanging(Fake):
        def load(self) -> Loaded:
            self.loads += 1
            release.wait(30)
            raise StrategyFailed("late")

    hanging = [Hanging("hanging", clock) for _ in range(8)]
    strategies: dict[str, list[Fake]] = {f"i{n}": [one] for n, one in enumerate(hanging[:7])}
    strategies |= {"one": [hanging[7], Fake("second", clock)], "two": [Fake("quick", clock)]}
    router = CredentialRouter(strategies, clock, deadline=0.05)
    router.prime()
    started = time.monotonic()
    leased, _ = await router.acquire(ONE)
    assert leased.strategy == "second"
    assert (await router.acquire(TWO))[0].strategy == "quick"
    assert time.monotonic() - started < 1.0
    with pytest.raises(NoCredential) as caught:
        await router.acquire(Target(instance="i0", provider="openai"))
    assert caught.value.detail == "hanging: no answer within 0.05 s"
    router.close()
    release.set()


async def test_a_keyring_that_waits_for_its_password_is_given_up(clock) -> None:
    release = threading.Event()

    class Prompting(KeyringBackend):
        priority = -1  # never chosen unless it is set

        def get_password(self, service: str, username: str) -> str | None:
            release.wait(30)
            return None

        def set_password(self, service: str, username: str, password: str) -> None: ...

    before = keyring.core._keyring_backend
    keyring.set_keyring(Prompting())
    try:
        surroundings = Surroundings(instance="one", provider="openai", environ={})
        prompting = KeyringStrategy(KeyringOptions(), surroundings)
        router = router_of(clock, prompting, Fake("second", clock), deadline=0.05)
        assert await label_now(router) == "second"
    finally:
        release.set()
        keyring.core._keyring_backend = before


async def test_the_loop_goes_on_while_a_source_is_slow(clock) -> None:
    class Slow(Fake):
        def load(self) -> Loaded:
            time.sleep(0.2)
            return super().load()

    waiting = asyncio.create_task(router_of(clock, Slow("slow", clock)).acquire(ONE))
    longest, last = 0.0, time.monotonic()
    while not waiting.done():
        await asyncio.sleep(0.001)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    assert longest < 0.1


# Discards


async def test_a_refused_credential_is_loaded_anew(clock) -> None:
    only = Fake("only", clock, HOUR)
    router = router_of(clock, only)
    before, _ = await router.acquire(ONE)
    only.value = "rotated"
    router.discard("one", before.generation)
    router.discard("no such instance", 1)
    assert router.held(ONE) is None
    after, _ = await router.acquire(ONE)
    assert after.credential == ApiKey(value=Secret("rotated"))
    assert (before.generation, after.generation) == (1, 2)


async def test_five_hundred_refusals_make_one_load(clock) -> None:
    only = Fake("only", clock, HOUR)
    router = router_of(clock, only)
    before, _ = await router.acquire(ONE)

    async def refused_request() -> None:
        router.discard("one", before.generation)
        await router.acquire(ONE)

    await asyncio.gather(*(refused_request() for _ in range(500)))
    assert only.loads == 2


# Status and life


async def test_status_from_pending_to_ready_and_failed(clock) -> None:
    broken = Fake("broken", clock, StrategyFailed("down"))
    router = CredentialRouter({"one": [Fake("good", clock, HOUR)], "two": [broken]}, clock, jitter=lambda: 0.0)
    pending = InstanceStatus(state="pending")
    assert router.status() == {"one": pending, "two": pending}
    router.prime()
    assert router.status() == {"one": pending, "two": pending}
    await router.acquire(ONE)
    with pytest.raises(NoCredential):
        await router.acquire(TWO)
    ready = InstanceStatus(state="ready", strategy="good", expires_at=clock.wall() + HOUR)
    assert router.status() == {"one": ready, "two": InstanceStatus(state="failed")}
    clock.advance(HOUR)
    assert router.status()["one"].state == "pending"
    router.close()


async def test_priming_renews_without_a_request(clock, monkeypatch) -> None:
    monkeypatch.setattr("llmauth.routers.credential._LOOK_EVERY", 0.001)
    only = Fake("only", clock, HOUR)
    router = router_of(clock, only)
    router.prime()
    router.prime()
    for loads in (1, 2, 3):
        for _ in range(500):
            if only.loads == loads:
                break
            await asyncio.sleep(0.001)
        await renewed(router)
        assert only.loads == loads
        clock.advance(0.81 * HOUR)
    router.close()
    await asyncio.sleep(0)
    before = only.loads
    clock.advance(HOUR)
    await asyncio.sleep(0.02)
    assert only.loads == before
    assert router.held(ONE) is None


async def test_no_secret_in_any_line_or_value(clock, caplog) -> None:
    """R1: also at debug level."""
    caplog.set_level(logging.DEBUG)
    only = Fake("only", clock, HOUR)
    only.value = "canary-7f3a"
    answer = await router_of(clock, only).acquire(ONE)
    assert "canary" not in caplog.text + repr(answer) + str([vars(record) for record in caplog.records])


async def test_held_costs_microseconds() -> None:
    clock = SystemClock()
    router = CredentialRouter({"one": [Fake("only", ManualClock(time.time()), HOUR)]}, clock)
    await router.acquire(ONE)
    first = router.held(ONE)
    assert first is not None
    assert router.held(ONE) is first
    best = min(timeit.repeat(lambda: router.held(ONE), number=10_000, repeat=5)) / 10_000
    print(f"held: {best * 1e6:.2f} us")
    assert best < 20e-6
