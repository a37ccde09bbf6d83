"""Signals: heard once, heard late where a process is being started, and left as they were."""

from __future__ import annotations

import contextlib
import signal

import pytest

from llmauth.demo.walk.interruption import ENDINGS, by_signals, deferred


@pytest.fixture(autouse=True)
def _as_before():
    handlers = {number: signal.getsignal(number) for number in ENDINGS}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", ENDINGS)
def test_every_signal_ends_as_ctrl_c_does(number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt), by_signals():
        signal.raise_signal(number)


def test_a_second_one_is_not_heard() -> None:
    ended = []

    def end() -> None:
        signal.raise_signal(signal.SIGINT)
        ended.append("all of it")

    ends = contextlib.ExitStack()
    ends.callback(end)
    with pytest.raises(KeyboardInterrupt), by_signals(), ends:
        signal.raise_signal(signal.SIGTERM)
    assert ended == ["all of it"]


def test_without_a_signal_all_is_as_before() -> None:
    before = [signal.getsignal(number) for number in ENDINGS]
    with by_signals():
        assert signal.getsignal(signal.SIGTERM) != before[1]
    assert [signal.getsignal(number) for number in ENDINGS] == before


def test_what_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as `nohup` leaves it
    with by_signals():
        signal.raise_signal(signal.SIGHUP)


def test_a_deferred_signal_is_heard_at_the_end() -> None:
    kept = []

    def start() -> None:
        signal.raise_signal(signal.SIGTERM)
        kept.append("a process")

    with pytest.raises(KeyboardInterrupt), by_signals(), deferred():
        start()
    assert kept == ["a process"]
