"""One child of the parent: started by a fork, heard over its line, ended by word, by signal, or by force."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from addons.launch.ending import SOFTWARE
from addons.launch.workers.line import Line
from addons.launch.workers.restarts import Restarts
from addons.launch.workers.signals import held_back, let_through

logger = logging.getLogger(__name__)

Life = Callable[[bool, socket.socket], int]
"""What a child does, in its own process: whether nobody has served yet, its line to the parent; its exit status."""


@dataclass(slots=True, kw_only=True)
class Child:
    """A place that a process has, and another one after it. Times are monotonic seconds."""

    number: int
    life: Life
    pid: int | None = None
    line: Line | None = None
    is_ready: bool = False
    started: float = 0.0
    starts_at: float | None = None
    restarts: Restarts = field(default_factory=Restarts)

    def start(self, first: bool, prepare: Callable[[], None]) -> None:
        """Fork; `prepare` lets go of what is the parent's, in the child. OSError where the system has no room."""
        ours, theirs = socket.socketpair()
        with theirs, held_back():
            try:
                pid = os.fork()
            except OSError:
                ours.close()
                raise
            if pid == 0:
                _live(self.life, first, theirs, [ours.close, prepare])
        self.is_ready, self.started, self.starts_at = False, time.monotonic(), None
        self.pid, self.line = pid, Line(ours)

    def say(self, **message: object) -> None:
        """Say something to it, if it is there."""
        if self.line is not None:
            self.line.say(**message)

    def kill(self, number: int) -> None:
        """Send a signal; nothing where it has ended."""
        if self.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def drain(self) -> None:
        """Have it end in order; one that does not serve yet has nothing to finish."""
        if self.is_ready:
            self.say(say="drain")
        else:
            self.kill(signal.SIGTERM)

    def ended(self) -> float:
        """Forget the process; how long it lived."""
        if self.line is not None:
            self.line.close()
        self.pid, self.line, self.is_ready = None, None, False
        return time.monotonic() - self.started


def _live(life: Life, first: bool, line: socket.socket, before: Sequence[Callable[[], None]]) -> None:
    """Never returns: what is above on the stack is the parent's."""
    status = SOFTWARE
    try:
        for each in before:
            each()
        let_through()
        status = life(first, line)
    except BaseException as error:
        # The text of an error may quote a secret.
        frame = traceback.extract_tb(error.__traceback__)[-1]
        facts = {"error": type(error).__name__, "at": f"{os.path.basename(frame.filename)}:{frame.lineno}"}
        logger.critical("A worker failed; it ends", extra=facts)
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(status)
