"""Signals as bytes to be read, so that the parent waits for them where it waits for its workers."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

STOPS = (signal.SIGTERM, signal.SIGINT)
_HEARD = (*STOPS, signal.SIGHUP, signal.SIGCHLD)


class Signals:
    """Those that stop a program, and the one that tells of a child's end. For the main thread."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        for one in (self._reading, self._writing):
            os.set_blocking(one, False)
        self._before = {number: signal.signal(number, _noted) for number in _HEARD}
        self._woke = signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)

    def fileno(self) -> int:
        """What becomes readable."""
        return self._reading

    def taken(self) -> bytes:
        """The numbers of those that came since the last time."""
        with suppress(BlockingIOError):
            return os.read(self._reading, 4096)
        return b""

    def close(self) -> None:
        """Leave the process as it was."""
        signal.set_wakeup_fd(self._woke)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._shut()

    def forget(self) -> None:
        """In a child: it is stopped by its parent, and by SIGTERM; a Ctrl-C and SIGHUP are its parent's to hear."""
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        self._shut()

    def _shut(self) -> None:
        os.close(self._reading)
        os.close(self._writing)


@contextmanager
def held_back() -> Iterator[None]:
    """Let none be heard meanwhile: in a child that was only just forked, its parent's handlers would hear them.

    A child that never comes back from here lets them through by itself.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def let_through() -> None:
    """Hear those that were held back, and all further ones."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEARD)


def _noted(number: int, frame: FrameType | None) -> None:
    """The byte that the interpreter writes is all that is needed."""
