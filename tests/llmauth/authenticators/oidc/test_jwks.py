"""The lease of an issuer's keys, by a clock that a test moves."""

from __future__ import annotations

import logging
import threading

import pytest

from llmauth.authenticators.oidc.jwks import SEEK_SECONDS, STALE_SECONDS, JwksLease
from llmauth.authenticators.oidc.keyset import KeySet
from llmauth.authenticators.oidc.provider import Published
from llmauth.clock import ManualClock
from llmauth.errors import Unavailable
from llmauth.sources import SourceFailed


def keys(*marks: str) -> KeySet:
    return KeySet(keys=(), marks=frozenset(marks))


class Source:
    """What is published now; counts how often it was asked."""

    def __init__(self) -> None:
        self.marks: tuple[str, ...] = ("a",)
        self.life = 3600.0
        self.error: Exception | None = None
        self.asked = 0
        self.gate: threading.Event | None = None

    def __call__(self) -> Published:
        self.asked += 1
        if self.gate is not None:
            assert self.gate.wait(5)
        if self.error is not None:
            raise self.error
        return Published(keys=keys(*self.marks), life=self.life)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def changes() -> list[int]:
    return []


@pytest.fixture
def lease(source: Source, clock: ManualClock, changes: list[int]) -> JwksLease:
    return JwksLease(source, clock, issuer="https://a", on_change=lambda: changes.append(1), jitter=lambda: 0.0)


def test_nothing_is_held_before_the_first_answer(lease: JwksLease) -> None:
    assert not lease.usable()
    with pytest.raises(Unavailable) as refused:
        lease.held()
    assert refused.value.retry_after is not None
    lease.tick()
    assert lease.usable()
    assert lease.held() == keys("a")


def test_keys_are_fetched_again_before_they_are_old(lease: JwksLease, source: Source, clock: ManualClock) -> None:
    lease.tick()
    clock.advance(2879)
    lease.tick()
    assert source.asked == 1
    clock.advance(1)
    lease.tick()
    assert source.asked == 2


def test_a_change_is_told_and_the_same_again_is_not(
    lease: JwksLease, source: Source, clock: ManualClock, changes: list[int]
) -> None:
    for _ in range(3):
        lease.tick()
        clock.advance(3600)
    assert len(changes) == 1
    source.marks = ("b",)
    lease.tick()
    assert len(changes) == 2
    assert lease.held() == keys("b")


@pytest.mark.parametrize("error", [SourceFailed("down"), RuntimeError("a fault of ours"), RecursionError()])
def test_a_failure_is_tried_again_within_seconds(
    lease: JwksLease, source: Source, clock: ManualClock, error: Exception
) -> None:
    source.error = error
    lease.tick()
    for _ in range(60):
        clock.advance(1)
        lease.tick()
    assert 8 <= source.asked <= 12
    source.error = None
    for _ in range(8):
        clock.advance(1)
        lease.tick()
    assert lease.usable()


def test_keys_outlive_a_day_of_failures_and_no_more(lease: JwksLease, source: Source, clock: ManualClock) -> None:
    lease.tick()
    source.error = SourceFailed("down")
    clock.advance(STALE_SECONDS - 1)
    lease.tick()
    assert lease.held() == keys("a")
    clock.advance(1)
    assert not lease.usable()
    with pytest.raises(Unavailable):
        lease.held()


def test_one_look_for_a_key_unheard_of_in_half_a_minute(lease: JwksLease, source: Source, clock: ManualClock) -> None:
    lease.tick()
    source.marks = ("a", "b")
    assert lease.sought() == keys("a", "b")
    for _ in range(10):
        lease.sought()
    assert source.asked == 2
    clock.advance(SEEK_SECONDS)
    lease.sought()
    assert source.asked == 3


def test_a_look_that_fails_leaves_the_keys_and_says_so(lease: JwksLease, source: Source) -> None:
    lease.tick()
    source.error = SourceFailed("down")
    with pytest.raises(Unavailable):
        lease.sought()
    assert lease.held() == keys("a")
    with pytest.raises(Unavailable):
        lease.sought()
    assert source.asked == 2


def test_nobody_waits_for_an_issuer_that_failed(lease: JwksLease, source: Source) -> None:
    """Else whoever makes up ids of keys would keep both threads that judge callers."""
    source.error = SourceFailed("down")
    lease.tick()
    source.gate = threading.Event()  # it hangs now
    with pytest.raises(Unavailable):
        lease.sought()
    assert source.asked == 1


def test_many_looks_are_one(lease: JwksLease, source: Source) -> None:
    lease.tick()
    source.marks = ("b",)
    source.gate = threading.Event()
    found: list[KeySet] = []
    threads = [threading.Thread(target=lambda: found.append(lease.sought())) for _ in range(8)]
    for thread in threads:
        thread.start()
    source.gate.set()
    for thread in threads:
        thread.join()
    assert found == [keys("b")] * 8
    assert source.asked == 2


def test_an_outage_is_told_once_and_its_end_too(
    lease: JwksLease, source: Source, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    lease.tick()
    source.error = SourceFailed("idp.example did not answer")
    for _ in range(5):
        clock.advance(3600)
        lease.tick()
    source.error = None
    clock.advance(60)
    lease.tick()
    told = [(record.levelname, record.message) for record in caplog.records if "publishes no key" not in record.message]
    assert told == [
        ("INFO", "keys of the issuer fetched"),
        ("WARNING", "keys of the issuer cannot be fetched"),
        ("INFO", "the issuer answers again"),
    ]


def test_the_thread_ends(lease: JwksLease, source: Source) -> None:
    lease.start()
    lease.stop()
    assert lease._thread is not None
    assert not lease._thread.is_alive()
    assert source.asked == 1
