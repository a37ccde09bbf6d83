"""Keys exchanged for tokens: when the service is asked, and when it is not."""

from __future__ import annotations

import asyncio

import pytest

from llmauth.clock import ManualClock
from llmauth.credentials.base import Remembering
from llmauth.credentials.cache import Source
from llmauth.credentials.chain import Chain
from llmauth.credentials.exchange import Exchanged
from llmauth.secrets import ApiKey, BearerToken, Credential, Loaded, Secret
from llmauth.sources import SourceFailed, SourceUnavailable

HOUR = 3600.0


class Finds:
    """A strategy that finds what it was told to."""

    label = "file"

    def __init__(self, credential: Credential | Exception, refresh_after: float | None = 3.0) -> None:
        self.credential = credential
        self.refresh_after = refresh_after
        self.loads = 0

    def unavailable(self) -> str | None:
        return None

    def load(self) -> Loaded:
        self.loads += 1
        if isinstance(self.credential, Exception):
            raise self.credential
        return Loaded(credential=self.credential, source="/key", refresh_after=self.refresh_after)


class Service:
    """A token service that counts."""

    name = "Test IAM"

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.failure: Exception | None = None

    def takes(self, credential: Credential) -> bool:
        return isinstance(credential, ApiKey)

    def token(self, credential: Credential) -> tuple[Secret, float]:
        assert isinstance(credential, ApiKey)
        key = credential.value.reveal()
        self.asked.append(key)
        if self.failure is not None:
            raise self.failure
        return Secret(f"token {len(self.asked)} of {key}"), HOUR


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def service() -> Service:
    return Service()


def key(value: str = "k1") -> ApiKey:
    return ApiKey(value=Secret(value))


def token(loaded: Loaded) -> str:
    assert isinstance(loaded.credential, BearerToken)
    return loaded.credential.value.reveal()


def test_a_key_becomes_a_token_with_an_end(clock: ManualClock, service: Service) -> None:
    loaded = Exchanged(Finds(key()), service, clock).load()
    assert token(loaded) == "token 1 of k1"
    assert loaded.expires_at == clock.wall() + HOUR
    assert (loaded.source, loaded.refresh_after) == ("/key, exchanged by Test IAM", 3.0)


def test_a_token_is_good_as_it_is(clock: ManualClock, service: Service) -> None:
    found = BearerToken(value=Secret("t"))
    assert Exchanged(Finds(found), service, clock).load().credential == found
    assert service.asked == []


def test_the_service_is_asked_when_the_key_changes_and_when_the_token_grows_old(
    clock: ManualClock, service: Service
) -> None:
    finds = Finds(key())
    exchanged = Exchanged(finds, service, clock)
    assert [token(exchanged.load()) for _ in range(3)] == ["token 1 of k1"] * 3
    clock.advance(0.69 * HOUR)
    assert token(exchanged.load()) == "token 1 of k1"
    clock.advance(0.02 * HOUR)
    assert token(exchanged.load()) == "token 2 of k1"
    finds.credential = key("k2")
    assert token(exchanged.load()) == "token 3 of k2"
    assert finds.loads == 6


def test_a_wall_clock_that_jumps_back_makes_no_token_younger(service: Service) -> None:
    """F3."""

    class Jumping(ManualClock):
        def jump(self, seconds: float) -> None:
            self._wall += seconds

    clock = Jumping()
    exchanged = Exchanged(Finds(key()), service, clock)
    exchanged.load()
    clock.advance(0.8 * HOUR)
    clock.jump(-0.8 * HOUR)
    assert token(exchanged.load()) == "token 2 of k1"


async def test_the_first_renewal_of_a_lease_brings_a_new_token(clock: ManualClock, service: Service) -> None:
    """However early its jitter makes it: replicas renew at different moments, and none of them in vain."""
    exchanged = Exchanged(Finds(key(), None), service, clock)
    chain = Chain("one", [Source(exchanged, asyncio.Semaphore(4))], clock, lambda: 1.0)
    await acquired(chain)
    clock.advance(0.73 * HOUR)
    await settled(chain)
    assert await acquired(chain) == "token 2 of k1"


def test_a_refused_token_is_not_given_again(clock: ManualClock, service: Service) -> None:
    exchanged = Exchanged(Finds(key()), service, clock)
    assert isinstance(exchanged, Remembering)
    exchanged.load()
    exchanged.forget()
    assert token(exchanged.load()) == "token 2 of k1"


def test_what_the_source_and_the_service_say_is_passed_on(clock: ManualClock, service: Service) -> None:
    with pytest.raises(SourceUnavailable, match="nowhere"):
        Exchanged(Finds(SourceUnavailable("nowhere")), service, clock).load()
    service.failure = SourceFailed("refused")
    exchanged = Exchanged(Finds(key()), service, clock)
    with pytest.raises(SourceFailed, match="refused"):
        exchanged.load()
    service.failure = None
    assert token(exchanged.load()) == "token 2 of k1"


async def acquired(chain: Chain) -> str:
    leased = await chain.lease.acquire(10.0)
    assert leased is not None
    assert isinstance(leased.credential, BearerToken)
    return leased.credential.value.reveal()


def chain_of(strategy: Exchanged, clock: ManualClock) -> Chain:
    return Chain("one", [Source(strategy, asyncio.Semaphore(4))], clock, lambda: 0.0)


async def settled(chain: Chain) -> None:
    chain.lease.held()
    if (running := chain.lease._running) is not None:
        await asyncio.wait({running})


async def test_a_lease_follows_a_changed_file_within_five_seconds(clock: ManualClock, service: Service) -> None:
    """Also when it was read again and again, and nothing had changed."""
    finds = Finds(key())
    chain = chain_of(Exchanged(finds, service, clock), clock)
    assert await acquired(chain) == "token 1 of k1"
    for _ in range(5):
        clock.advance(4.0)
        await settled(chain)
    assert (finds.loads, len(service.asked)) == (6, 1)
    finds.credential = key("k2")
    clock.advance(4.0)
    await settled(chain)
    assert await acquired(chain) == "token 2 of k2"


async def test_a_lease_renews_a_token_before_it_ends_and_serves_it_while_the_service_is_away(
    clock: ManualClock, service: Service
) -> None:
    chain = chain_of(Exchanged(Finds(key(), None), service, clock), clock)
    await acquired(chain)
    service.failure = SourceFailed("away")
    clock.advance(0.9 * HOUR)
    await settled(chain)
    assert await acquired(chain) == "token 1 of k1"
    service.failure = None
    clock.advance(31.0)
    await settled(chain)
    assert await acquired(chain) == f"token {len(service.asked)} of k1"
    assert len(service.asked) > 2
    service.failure = SourceFailed("away")
    clock.advance(HOUR)
    assert await chain.lease.acquire(0.1) is None


async def test_what_the_provider_refused_is_exchanged_anew_once_in_ten_seconds(
    clock: ManualClock, service: Service
) -> None:
    chain = chain_of(Exchanged(Finds(key()), service, clock), clock)
    await acquired(chain)
    for generation in (1, 1, 2):
        chain.discard(generation)
        await acquired(chain)
    assert len(service.asked) == 2
    clock.advance(11.0)
    chain.discard(2)
    assert await acquired(chain) == "token 3 of k1"
