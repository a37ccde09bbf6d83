"""Group commit: one thread that has written records on the disk, within a second, or at once where somebody waits."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable

from llmauth.audit.segments import Segment
from llmauth.audit.tickets import Ticket
from llmauth.clock import Clock

COMMIT_SECONDS = 1.0
Told = Callable[[list[Ticket], Exception | None], None]


class Committer:
    """Calls `told` with the tickets whose records reached the disk, or with the error that kept them from it.

    `since` is the monotonic time since when it waits for the disk, None while it does not; once it has ended, it is
    for ever.
    """

    def __init__(self, clock: Clock, told: Told) -> None:
        self.since: float | None = None
        self._clock = clock
        self._told = told
        self._changed: dict[Segment, list[Ticket]] = {}
        self._retired: list[tuple[Segment, bool]] = []
        self._urgent = False
        self._stopping = False
        self._last = -COMMIT_SECONDS
        self._condition = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="audit-commit", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """Commit what is left, and end; whether that was done in time."""
        with self._condition:
            self._stopping = True
            self._condition.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def commit(self, segment: Segment, waiting: list[Ticket]) -> None:
        """Have what was written to this file on the disk; soon where there are tickets, else with the next group."""
        # Asked without the lock: the write is over, so a commit that has not begun yet will hold it.
        if not waiting and segment in self._changed:
            return
        with self._condition:
            self._changed.setdefault(segment, []).extend(waiting)
            self._urgent = self._urgent or bool(waiting)
            self._condition.notify()

    def retire(self, segment: Segment, *, broken: bool = False) -> list[Ticket]:
        """Close this file; before that, commit it a last time.

        Of one that is broken only that is tried, since its failure was told before; whose records were still to be
        committed there is handed back, and was not told anything.
        """
        with self._condition:
            waiting = self._changed.pop(segment, []) if broken else []
            self._retired.append((segment, broken))
            self._condition.notify()
        return waiting

    def _run(self) -> None:
        try:
            while self._round():
                pass
        finally:
            self.since = -math.inf

    def _round(self) -> bool:
        with self._condition:
            self._await_work()
            changed, self._changed = self._changed, {}
            retired, self._retired = self._retired, []
            self._urgent = False
            going_on = not self._stopping
        self.since = self._clock.monotonic()
        errors = _synced(changed), _closed(retired)
        self.since = None
        self._last = time.monotonic()
        error = errors[0] or errors[1]
        waiting = [ticket for tickets in changed.values() for ticket in tickets]
        if waiting or error is not None:
            self._told(waiting, error)
        return going_on

    def _await_work(self) -> None:
        while not (self._urgent or self._retired or self._stopping):
            left = self._last + COMMIT_SECONDS - time.monotonic()
            if self._changed and left <= 0:
                return
            self._condition.wait(left if self._changed else None)


def _synced(segments: Iterable[Segment]) -> Exception | None:
    try:
        for segment in segments:
            segment.sync()
    except Exception as error:
        return error
    return None


def _closed(retired: Iterable[tuple[Segment, bool]]) -> Exception | None:
    error = None
    for segment, broken in retired:
        failed = _synced([segment])
        error = error if broken else failed or error
        segment.close()
    return error
