"""Ends the process when its event loop stands still: closed connections, instead of clients that wait for ever."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import sys
import threading
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

BEAT = 1.0
STUCK_AFTER = 30.0
_EXIT_SOFTWARE = 70  # sysexits.h: an internal software error


class Watchdog:
    """A hook that blocks stops every client at once, and no timer of the loop itself can notice it; a thread can."""

    name = "watchdog"

    def __init__(self, stuck_after: float = STUCK_AFTER, end: Callable[[int], None] = os._exit) -> None:
        self._stuck_after = stuck_after
        self._end = end
        self._last_beat = time.monotonic()
        self._stopped = threading.Event()

    def running(self) -> None:
        self._beat(asyncio.get_running_loop())
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def done(self) -> None:
        self._stopped.set()

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        self._last_beat = time.monotonic()
        if not self._stopped.is_set():
            loop.call_later(BEAT, self._beat, loop)

    def _watch(self) -> None:
        while not self._stopped.wait(BEAT):
            if time.monotonic() - self._last_beat > self._stuck_after:
                logger.critical("The event loop stands still; the process ends", extra={"seconds": self._stuck_after})
                faulthandler.dump_traceback(sys.__stderr__ or sys.stderr, all_threads=True)
                self._end(_EXIT_SOFTWARE)
                return
