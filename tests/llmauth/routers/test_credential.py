"""The credential router: what it answers, many at once, hanging sources, discards, status, renewal and cost."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import timeit

import keyring
import pytest
from keyring.backend import KeyringBackend

from llmauth.clock import ManualClock, SystemClock
from llmauth.context import Target
from llmauth.credentials.base import Surroundings
from llmauth.credentials.keyring import KeyringOptions, KeyringStrategy
from llmauth.errors import NoCredential
from llmauth.routers.credential import CredentialRouter
from llmauth.secrets import ApiKey, Loaded, Secret
from llmauth.sources import SourceFailed, SourceUnavailable
from tests.fixtures.strategies import HOUR, Fake

ONE = Target(instance="one", provider="openai")
TWO = Target(instance="two", provider="openai")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


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


# Answers and refusals


async def test_the_first_that_yields_is_active_and_the_rest_stand_by(clock) -> None:
    absent = Fake("workload_identity (aws)", clock, SourceUnavailable("AWS workload identity not available on aks"))
    vault, secret = Fake("vault (hashicorp)", clock, HOUR), Fake("kubernetes_secret", clock)
    router = router_of(clock, absent, vault, secret)
    leased, decision = await router.acquire(ONE)
    assert (leased.strategy, leased.source, leased.generation) == ("vault (hashicorp)", "at vault (hashicorp)", 1)
    assert (decision.router, decision.input, decision.outcome) == ("credential", "one", "vault (hashicorp)")
    assert decision.reason == "loaded 2027-01-15T08:00:00Z, ends 2027-01-15T09:00:00Z"
    assert secret.loads == 0


@pytest.mark.parametrize("target", [ONE, TWO])
async def test_an_instance_without_strategies_and_an_unknown_one(clock, target) -> None:
    router = router_of(clock)
    assert router.held(target) is None
    with pytest.raises(NoCredential, match=f"Cannot authenticate to provider {target.instance}"):
        await router.acquire(target)


# Many at once, and hanging


async def test_a_thousand_requests_make_one_load() -> None:
    release = threading.Event()

    class Slow(Fake):
        def unavailable(self) -> str | None:
            return None

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
        def unavailable(self) -> str | None:
            return None

        def load(self) -> Loaded:
            self.loads += 1
            release.wait(30)
            raise SourceFailed("late")

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
        surroundings = Surroundings(instance="one", provider="openai")
        prompting = KeyringStrategy(KeyringOptions(), surroundings)
        router = router_of(clock, prompting, Fake("second", clock), deadline=0.05)
        assert await label_now(router) == "second"
    finally:
        release.set()
        keyring.core._keyring_backend = before


async def test_the_loop_goes_on_while_a_source_is_slow(clock) -> None:
    class Slow(Fake):
        def unavailable(self) -> str | None:
            return None

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
    broken = Fake("broken", clock, SourceFailed("down"))
    router = CredentialRouter({"one": [Fake("good", clock, HOUR)], "two": [broken]}, clock, jitter=lambda: 0.0)

    def states() -> list[str]:
        return [one.state for one in router.status().values()]

    assert states() == ["pending", "pending"]
    router.prime()
    assert states() == ["pending", "pending"]
    await router.acquire(ONE)
    with pytest.raises(NoCredential):
        await router.acquire(TWO)
    one, two = router.status().values()
    assert (one.state, one.strategy, one.expires_at) == ("ready", "good", clock.wall() + HOUR)
    assert (one.source, one.degraded, one.mishap) == ("at good", False, None)
    assert one.renews_at is not None
    assert clock.wall() < one.renews_at < clock.wall() + HOUR
    assert (two.state, two.mishap and two.mishap.reason) == ("failed", "down")
    assert [(each.label, each.active, each.reason) for each in (*one.strategies, *two.strategies)] == [
        ("good", True, None),
        ("broken", False, "down"),
    ]
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
