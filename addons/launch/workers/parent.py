"""The parent: starts the workers, starts again those that end, gathers their counts, and ends with the last of them.

It has neither threads nor an event loop, and opens no connection: so it may fork at any time, and there is little in it
that could fail.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from addons.launch.terminal import has_terminal
from addons.launch.workers.child import Child, Life
from addons.launch.workers.counts import Counts
from addons.launch.workers.line import Message
from addons.launch.workers.signals import STOPS, Signals
from llmauth.config.failures import FAILED, MISUSED

if TYPE_CHECKING:
    from addons.launch.workers.reloading import Reloading

logger = logging.getLogger(__name__)

# What a worker takes to end beyond its drain: last words to clients, the last lines of its log, its store.
_GRACE = 5.0
# What a worker that is killed has counted since it was asked last is lost.
COUNT_EVERY = 5.0
_LONGEST_WAIT = 5.0


class Parent:
    """Watches `lives`, one worker each, and `helper`, which they need and which ends after them.

    `limit` tells that of a drain in seconds; before it `shut` closes what the parent holds open, such as ports; `ready`
    is called when all serve for the first time, and `reloading` has the workers follow a changed configuration.
    """

    def __init__(
        self,
        lives: Sequence[Life],
        helper: Life,
        *,
        limit: Callable[[], float],
        shut: Callable[[], None],
        reloading: Reloading,
        ready: Callable[[], None],
    ) -> None:
        self._workers = [Child(number=number, life=life) for number, life in enumerate(lives, 1)]
        self._helper = Child(number=0, life=helper)
        self._limit = limit
        self._shut = shut
        self._reloading = reloading
        self._tell_ready = ready
        self._counts = Counts()
        self._count_at = 0.0
        self._has_served = False
        self._all_served = False
        self._status: int | None = None
        self._ends = 0.0
        self._signals: Signals
        self._had_terminal = has_terminal()

    def run(self) -> int:
        """Until the last worker has ended, by a signal or for a reason that would end each of them; the exit status."""
        self._signals = Signals()
        try:
            self._start(self._helper)
            while self._status is None or self._living():
                self._round()
        finally:
            self._signals.close()
            self._end_helper()
        return self._status

    # ---- one round -------------------------------------------------------------------------------------------------

    def _round(self) -> None:
        self._wait()
        for number in self._signals.taken():
            if number in STOPS:
                self._stop()
            elif number == signal.SIGHUP:
                self._hang_up()
        for child in (self._helper, *self._living()):
            self._hear(child)
        self._bury()
        now = time.monotonic()
        if self._status is None:
            self._reloading.go_on(self._workers)
        self._start_due(now)
        self._count(now)
        if self._status is not None and now > self._ends:
            for child in self._living():
                logger.warning("A worker did not end in time; it is killed", extra={"worker": child.number})
                child.kill(signal.SIGKILL)
            self._ends = now + _GRACE

    def _wait(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._signals, selectors.EVENT_READ)
            for child in (self._helper, *self._living()):
                if child.line is not None:
                    behind = selectors.EVENT_WRITE if child.line.is_behind else 0
                    selector.register(child.line, selectors.EVENT_READ | behind)
            selector.select(max(0.0, self._next() - time.monotonic()))

    def _next(self) -> float:
        """When something is due though nothing is heard."""
        due = [child.starts_at for child in (*self._workers, self._helper) if child.starts_at is not None]
        due += [self._counts.ends] if self._counts.ends is not None else []
        due += [self._ends] if self._status is not None else [self._count_at, self._reloading.due]
        return min(*due, time.monotonic() + _LONGEST_WAIT)

    def _living(self) -> list[Child]:
        return [child for child in self._workers if child.pid is not None]

    def _hang_up(self) -> None:
        if self._had_terminal and not has_terminal():
            self._stop()
        else:
            self._reloading.want("SIGHUP")

    # ---- what workers say ------------------------------------------------------------------------------------------

    def _hear(self, child: Child) -> None:
        if child.line is None:
            return
        child.line.go_on()
        messages, there = child.line.heard()
        for message in messages:
            self._heed(child, message)
        if not there:
            # Without its line a worker could be neither counted nor drained; it sees that as its parent's end.
            child.line.close()
            child.line = None

    def _heed(self, child: Child, message: Message) -> None:
        match message:
            case {"say": "ready"}:
                self._serves(child)
            case {"say": "prepared"}:
                self._reloading.heard(child, message)
            case {"say": "reload", "why": str(why)}:
                pid = child.pid
                self._reloading.want(why, lambda told: child.say(say="told", **told) if child.pid == pid else None)
            case {"say": "counts", "metrics": metrics}:
                self._counts.told(child.number, metrics)
            case {"say": "sum"}:
                pid = child.pid
                self._counts.want(lambda text: child.say(say="sum", text=text) if child.pid == pid else None)

    def _serves(self, child: Child) -> None:
        child.is_ready = True
        if child is self._helper:
            if not self._has_served and self._workers[0].pid is None and self._status is None:
                self._start(self._workers[0])
            return
        if self._status is not None:
            child.drain()
        elif not self._has_served:
            self._has_served = True
            for other in self._workers:
                if other.pid is None:
                    self._start(other)
        elif self._all_served:
            logger.info("A worker serves again", extra={"worker": child.number, "pid": child.pid})
        if not self._all_served and all(one.is_ready for one in self._workers):
            self._all_served = True
            self._tell_ready()

    # ---- starts and ends -------------------------------------------------------------------------------------------

    def _start(self, child: Child) -> None:
        try:
            child.start(not self._has_served, self._let_go)
        except OSError as error:
            if not self._has_served:
                raise
            # The system has no room for a process now; those that serve go on.
            wait = child.restarts.after(0.0)
            child.starts_at = time.monotonic() + wait
            facts = {"worker": child.number, "error": os.strerror(error.errno or 0), "wait_s": wait}
            logger.error("No process can be started", extra=facts)

    def _let_go(self) -> None:
        """In a child: it must not hold the ends of other children's lines, or they would never see the parent end."""
        self._signals.forget()
        for other in (*self._workers, self._helper):
            if other.line is not None:
                other.line.close()

    def _start_due(self, now: float) -> None:
        if self._reloading.is_under_way:
            return
        for child in (*self._workers, self._helper):
            if child.starts_at is not None and now >= child.starts_at and self._status is None:
                self._start(child)

    def _bury(self) -> None:
        """Take the exit status of every process that has ended, also of those that a container left to its first."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in (*self._workers, self._helper):
                if child.pid == pid:
                    self._ended(child, os.waitstatus_to_exitcode(status))

    def _ended(self, child: Child, status: int) -> None:
        self._hear(child)
        served = child.is_ready
        lived = child.ended()
        self._counts.ended(child.number)
        if child is not self._helper:
            self._reloading.ended(child)
        if self._status is not None:
            return
        if not served and (status == MISUSED or not self._has_served):
            # It has said why. What keeps this one from starting would keep the others, or has never let one start.
            logger.error("A worker cannot start; all end", extra={"worker": child.number, "status": status})
            self._stop(status if status > 0 else FAILED)
            return
        wait = child.restarts.after(lived)
        child.starts_at = time.monotonic() + wait
        facts = {"worker": child.number, "status": status, "lived_s": round(lived, 1), "wait_s": wait}
        logger.warning("A process ended; another one takes its place", extra=facts)

    def _stop(self, status: int = 0) -> None:
        """The first time all drain; the second time all end at once."""
        now = time.monotonic()
        if self._status is None:
            self._status, self._ends = status, now + self._limit() + _GRACE
            self._shut()
            for child in self._workers:
                child.starts_at = None
                child.drain()
            return
        self._ends = min(self._ends, now + _GRACE)
        for child in self._living():
            child.say(say="end")
            if not child.is_ready:
                child.kill(signal.SIGKILL)

    def _end_helper(self) -> None:
        """It ends when nobody needs it any longer, which is now; its process is awaited for a moment."""
        child = self._helper
        if child.pid is None:
            return
        child.say(say="end")
        ends = time.monotonic() + _GRACE
        with suppress(ChildProcessError):
            while os.waitpid(child.pid, os.WNOHANG)[0] == 0:
                if time.monotonic() > ends:
                    child.kill(signal.SIGKILL)
                time.sleep(0.01)

    # ---- counts ----------------------------------------------------------------------------------------------------

    def _count(self, now: float) -> None:
        self._counts.finish(now)
        if not self._counts.is_wanted and (now < self._count_at or self._counts.ends is not None):
            return
        asked = [child for child in self._living() if child.is_ready]
        for child in asked:
            child.say(say="count")
        self._counts.begin([child.number for child in asked], now)
        self._count_at = now + COUNT_EVERY
