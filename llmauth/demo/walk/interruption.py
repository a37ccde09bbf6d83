"""Signals that end the demo: each does what Ctrl-C does, but never between the start of a process and its keeping."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def by_signals() -> Iterator[None]:
    """The first signal raises KeyboardInterrupt; from then on none is heard, so that no second one cuts the ending
    short and leaves a child behind."""
    before = {number: signal.getsignal(number) for number in ENDINGS}
    ended = False

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal ended
        ended = True
        for each in ENDINGS:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, end)
    try:
        yield
    finally:
        if not ended:
            _restore(before)


@contextmanager
def deferred() -> Iterator[None]:
    """A signal that comes meanwhile is heard at the end. Does nothing in threads, where no signal is heard anyway."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    before = {number: signal.getsignal(number) for number in ENDINGS}
    for number, handler in before.items():
        if callable(handler):
            signal.signal(number, lambda number, frame: arrived.append(number))
    try:
        yield
    finally:
        _restore(before)
    if arrived:
        signal.raise_signal(arrived[0])


def _restore(handlers: Mapping[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)
