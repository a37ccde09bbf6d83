"""Group commit; how a log uses it is told by the tests of the log."""

from __future__ import annotations

import math
import threading

import pytest

from llmauth.audit.commits import Committer
from llmauth.audit.tickets import Ticket
from llmauth.clock import SystemClock
from tests.fixtures.audits import administered


class Segment:
    """Counts."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.synced, self.closed = error, 0, False

    def sync(self) -> None:
        self.synced += 1
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        self.closed = True


class Slow(Segment):
    """A disk that takes its time."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.free = threading.Event(), threading.Event()

    def sync(self) -> None:
        self.begun.set()
        self.free.wait(5)


@pytest.fixture
def told():
    return []


@pytest.fixture
def committer(told):
    made = Committer(SystemClock(), lambda tickets, error: told.append((tickets, error)))
    made.start()
    yield made
    made.stop(5)


def ticket() -> Ticket:
    return Ticket(administered(), 1.0, True, threading.Lock(), threading.Event())


def test_those_who_wait_are_told_after_the_commit(committer, told) -> None:
    segment, waiting = Segment(), ticket()
    committer.commit(segment, [waiting])
    assert committer.stop(5)
    assert (segment.synced, told) == (1, [([waiting], None)])


def test_a_failure_is_told_even_where_nobody_waits(committer, told) -> None:
    error = OSError(5, "Input/output error")
    committer.commit(Segment(error), [])
    assert committer.stop(5)
    assert told == [([], error)]


def test_a_file_that_is_over_is_committed_and_closed(committer, told) -> None:
    segment = Segment()
    committer.retire(segment)
    assert committer.stop(5)
    assert (segment.synced, segment.closed, told) == (1, True, [])


def test_a_file_that_broke_is_closed_and_not_told_again(committer, told) -> None:
    segment = Segment(OSError(5, "Input/output error"))
    committer.retire(segment, broken=True)
    assert committer.stop(5)
    assert (segment.synced, segment.closed, told) == (1, True, [])


def test_who_waited_for_a_file_that_broke_is_not_told_that_it_was_committed(committer, told) -> None:
    """Its record is in a file that nobody sees, or that lost what was written."""
    slow, other, waiting = Slow(), Segment(), ticket()
    committer.commit(slow, [ticket()])
    assert slow.begun.wait(5)
    committer.commit(other, [waiting])
    assert committer.retire(other, broken=True) == [waiting]
    slow.free.set()
    assert committer.stop(5)
    assert waiting not in [each for tickets, _ in told for each in tickets]


def test_when_its_thread_is_over_it_waits_for_ever(committer) -> None:
    assert committer.since is None
    assert committer.stop(5)
    assert committer.since == -math.inf


def test_many_changes_are_one_commit(committer) -> None:
    segment = Segment()
    for _ in range(1000):
        committer.commit(segment, [])
    assert committer.stop(5)
    assert segment.synced <= 3
