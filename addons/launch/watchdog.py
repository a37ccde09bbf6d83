"""Ends the process when its event loop stands still: closed connections, instead of clients that wait for ever."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import sys
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)

BEAT = 1.0
STUCK_AFTER = 30.0
_EXIT_SOFTWARE = 70  # sysexits.h: an internal software error


class Watchdog:
    """A hook that blocks stops every client at once, and no timer of the loop itself can notice it; a thread can.

    It counts its own rounds rather than seconds: a process that was frozen as a whole (a paused container, a debugger)
    has missed no beat of its own, and must not be ended for it.
    """

    name = "watchdog"

    def __init__(
        self, stuck_after: float = STUCK_AFTER, end: Callable[[int], None] = os._exit, beat: float = BEAT
    ) -> None:
        self._rounds = max(2, round(stuck_after / beat))
        self._end = end
        self._beat_every = beat
        self._beats = 0
        self._stopped = threading.Event()

    def running(self) -> None:
        self._beat(asyncio.get_running_loop())
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def done(self) -> None:
        self._stopped.set()

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        self._beats += 1
        if not self._stopped.is_set():
            loop.call_later(self._beat_every, self._beat, loop)

    def _watch(self) -> None:
        seen, missed = self._beats, 0
        while not self._stopped.wait(self._beat_every):
            missed = missed + 1 if self._beats == seen else 0
            seen = self._beats
            if missed >= self._rounds:
                seconds = self._rounds * self._beat_every
                logger.critical("The event loop stands still; the process ends", extra={"seconds": seconds})
                faulthandler.dump_traceback(sys.__stderr__ or sys.stderr, all_threads=True)
                self._end(_EXIT_SOFTWARE)
                return
