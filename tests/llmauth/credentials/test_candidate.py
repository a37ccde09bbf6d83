"""A candidate: how long it is left alone after a refusal, and that an answer ends that."""

import asyncio

import pytest

from llmauth.clock import ManualClock
from llmauth.credentials.cache import Source
from llmauth.credentials.candidate import FAILED, LONGEST_WITHOUT, UNAVAILABLE, Candidate
from tests.fixtures.strategies import Fake


@pytest.fixture
def candidate():
    return Candidate(Source(Fake("one", ManualClock()), asyncio.Semaphore(1)))


def test_who_was_never_asked_may_be(candidate):
    assert candidate.wait(0.0, usable=True) == 0.0
    assert candidate.reason is None


@pytest.mark.parametrize(
    ("back_off", "waits"), [(FAILED, [1, 2, 4, 8, 16, 30, 30]), (UNAVAILABLE, [5, 10, 20, 40, 60, 60])]
)
def test_each_refusal_doubles_the_wait_up_to_an_end(candidate, back_off, waits):
    for wait in waits:
        candidate.refused("no", back_off, 100.0, 0.0)
        assert candidate.wait(100.0, usable=True) == wait
        assert candidate.wait(100.0, usable=False) == min(wait, LONGEST_WITHOUT)
        assert candidate.wait(100.0 + wait, usable=True) == 0.0


def test_thousands_of_refusals_are_no_overflow(candidate):
    for _ in range(5000):
        candidate.refused("no", FAILED, 0.0, 0.0)
    assert candidate.wait(0.0, usable=True) == FAILED.longest


def test_jitter_only_shortens_the_wait(candidate):
    candidate.refused("no", UNAVAILABLE, 0.0, 1.0)
    assert candidate.wait(0.0, usable=True) == 2.5


def test_only_a_new_reason_is_news(candidate):
    told = [candidate.refused(reason, FAILED, 0.0, 0.0) for reason in ("down", "down", "gone", "down")]
    assert told == [True, False, True, True]


def test_an_answer_ends_it_all(candidate):
    candidate.refused("down", FAILED, 0.0, 0.0)
    candidate.answered()
    assert (candidate.reason, candidate.wait(0.0, usable=False)) == (None, 0.0)
    assert candidate.refused("down", FAILED, 0.0, 0.0)
