"""A service that is down: told at once, asked beside the requests, and forgotten when it answers."""

from __future__ import annotations

import logging

import pytest

from llmauth.authenticators.base import wrong
from llmauth.authenticators.reach import PROBE_SECONDS, NotReached, Reach
from llmauth.clock import ManualClock
from llmauth.errors import Unauthenticated, Unavailable


class Probe:
    """Fails until it is told not to."""

    def __init__(self) -> None:
        self.calls = 0
        self.works = False

    def __call__(self) -> None:
        self.calls += 1
        if not self.works:
            raise NotReached("still down")


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def probe():
    return Probe()


def failed(reach: Reach) -> None:
    """By a failure that took its time."""
    with pytest.raises(Unavailable), reach.asking():
        _fail_late(reach)


def _fail_late(reach: Reach) -> None:
    assert isinstance(reach._clock, ManualClock)
    reach._clock.advance(2)
    raise NotReached("it is down")


def test_who_asks_a_service_that_is_down_is_told_at_once(clock, probe) -> None:
    reach = Reach("sts", clock, probe)
    reach.require()
    failed(reach)
    clock.advance(3600)
    with pytest.raises(Unavailable, match="cannot be checked") as refusal:
        reach.require()
    assert refusal.value.detail == "sts: it is down"
    assert "down" not in refusal.value.sentence


def test_it_is_asked_again_beside_the_requests(clock, probe) -> None:
    reach = Reach("sts", clock, probe)
    reach.look()
    failed(reach)
    reach.look()
    assert probe.calls == 0
    clock.advance(PROBE_SECONDS)
    reach.look()
    reach.look()
    assert probe.calls == 1
    probe.works = True
    clock.advance(PROBE_SECONDS)
    reach.look()
    reach.require()
    assert not reach.is_down


@pytest.mark.parametrize("error", [Unauthenticated, None])
def test_whoever_answers_is_not_down(clock, probe, error) -> None:
    reach = Reach("sts", clock, probe)
    failed(reach)
    if error is None:
        with reach.asking():
            pass
    else:
        with pytest.raises(error), reach.asking():
            raise wrong("bad_key")
    assert not reach.is_down


def test_a_quick_failure_may_be_one_callers_own(clock, probe) -> None:
    """Nobody takes a service away from the others by what he presents."""
    reach = Reach("sts", clock, probe)
    for works in (True, False):
        probe.works = works
        with pytest.raises(Unavailable), reach.asking():
            raise NotReached("it answered 500")
        assert reach.is_down is not works


def test_a_refusal_of_one_caller_says_nothing_about_the_service(clock, probe) -> None:
    reach = Reach("sts", clock, probe)
    with pytest.raises(Unavailable), reach.asking():
        raise Unavailable("one caller's affair")
    assert not reach.is_down


def test_a_place_that_a_caller_chose_is_left_alone_for_a_while(clock, probe) -> None:
    reach = Reach("sts", clock, probe, chosen=True)
    failed(reach)
    assert not reach.matters
    with pytest.raises(Unavailable):
        reach.require()
    clock.advance(31)
    reach.look()
    assert probe.calls == 0
    reach.require()


def test_one_that_answered_once_matters(clock, probe) -> None:
    reach = Reach("sts", clock, probe, chosen=True)
    with reach.asking():
        pass
    failed(reach)
    clock.advance(31)
    with pytest.raises(Unavailable):
        reach.require()
    reach.look()
    assert probe.calls == 1


def test_the_log_is_told_of_a_change_once(clock, probe, caplog) -> None:
    caplog.set_level(logging.INFO)
    reach = Reach("sts", clock, probe)
    for _ in range(3):
        failed(reach)
    with reach.asking():
        pass
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]
    assert caplog.records[0].reason == "it is down"
