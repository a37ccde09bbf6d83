from __future__ import annotations

import os
import select
import signal
import threading

import pytest

from addons.launch.workers.signals import STOPS, Signals, held_back


@pytest.fixture
def signals():
    one = Signals()
    yield one
    one.close()


def test_they_become_readable_in_their_order(signals: Signals) -> None:
    assert signals.taken() == b""
    for number in (*STOPS, signal.SIGCHLD):
        signal.raise_signal(number)
    assert select.select([signals], [], [], 1)[0] == [signals]
    assert list(signals.taken()) == [*STOPS, signal.SIGCHLD]
    assert signals.taken() == b""


def test_none_is_lost_that_came_while_they_were_held_back(signals: Signals) -> None:
    with held_back():
        # To this thread: one to the process could be taken by a thread of the tests' own that holds nothing back.
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        assert signals.taken() == b""
    assert list(signals.taken()) == [signal.SIGTERM]


def test_the_process_is_left_as_it_was() -> None:
    before = [signal.getsignal(number) for number in STOPS]
    Signals().close()
    assert [signal.getsignal(number) for number in STOPS] == before
    assert signal.set_wakeup_fd(-1) == -1


def test_a_child_hears_sigterm_as_every_program_does_and_leaves_ctrl_c_to_its_parent() -> None:
    signals = Signals()
    try:
        pid = os.fork()
        if pid == 0:
            signals.forget()
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
            os._exit(99)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGTERM
    finally:
        signals.close()
