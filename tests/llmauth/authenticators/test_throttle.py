"""The throttle of guesses: a share for each address, refilled evenly, in bounded memory."""

from __future__ import annotations

import pytest

from llmauth.authenticators import throttle
from llmauth.authenticators.throttle import BURST, REFILL, Throttle
from llmauth.clock import ManualClock
from llmauth.errors import RateLimited


def spent(clock: ManualClock, source: str = "10.0.0.1") -> Throttle:
    one = Throttle(clock)
    for _ in range(int(BURST)):
        one.require(source)
        one.failed(source)
    return one


def test_an_address_has_its_share_and_then_waits() -> None:
    clock = ManualClock()
    one = spent(clock)
    with pytest.raises(RateLimited) as refused:
        one.require("10.0.0.1")
    assert refused.value.retry_after == 1
    one.require("10.0.0.2")
    clock.advance(1 / REFILL)
    one.require("10.0.0.1")
    one.failed("10.0.0.1")
    with pytest.raises(RateLimited):
        one.require("10.0.0.1")


def test_it_never_saves_up_more_than_its_share() -> None:
    clock = ManualClock()
    one = spent(clock)
    clock.advance(1_000_000)
    for _ in range(int(BURST)):
        one.require("10.0.0.1")
        one.failed("10.0.0.1")
    with pytest.raises(RateLimited):
        one.require("10.0.0.1")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("not:an:address", "not:an:address", True),
    ],
)
def test_what_is_one_address(one: str, other: str, same: bool) -> None:
    held = spent(ManualClock(), one)
    if same:
        with pytest.raises(RateLimited):
            held.require(other)
    else:
        held.require(other)


def test_memory_is_bounded_and_the_latest_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "_SOURCES", 10)
    one = Throttle(ManualClock())
    for number in range(1000):
        for _ in range(int(BURST)):
            one.failed(f"10.0.0.{number}")
    assert len(one._buckets) == 10
    with pytest.raises(RateLimited):
        one.require("10.0.0.999")
