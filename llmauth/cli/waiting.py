"""What a command says on a terminal while somebody waits for it, and nowhere else."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PATIENCE = 0.5
"""Seconds after which it is said: what is done by then needs no word."""


@contextmanager
def waiting(what: str, after: float = PATIENCE) -> Iterator[None]:
    """Say on standard error what is waited for, if it takes long and a person sees it; gone when it is done."""
    if not sys.stderr.isatty():
        yield
        return
    shown = _Shown(what)
    timer = threading.Timer(after, shown.begin)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()  # whoever forks afterwards has no thread of ours
        shown.end()


class _Shown:
    """A line that may begin in another thread, and never after its end."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._lock = threading.Lock()
        self._ended = False
        self._status: Any = None

    def begin(self) -> None:
        from rich.console import Console  # takes time to import, and only people look at it

        with self._lock:
            if not self._ended:
                self._status = Console(stderr=True).status(f"{self._what} …")
                self._status.start()

    def end(self) -> None:
        with self._lock:
            self._ended = True
            if self._status is not None:
                self._status.stop()
