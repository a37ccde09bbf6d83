"""What all workers counted, as the parent keeps it: the last word of each, and what those that ended have left."""

from __future__ import annotations

from collections.abc import Callable, Collection

from llmauth.telemetry import sums
from llmauth.telemetry.sums import Snapshot

PATIENCE = 1.0
"""Seconds that a worker may take to tell; then what it told last stands for it."""

Reply = Callable[[str], None]


class Counts:
    """Rounds of questions to all workers, one at a time. A sum never shrinks: nothing that was told is taken back."""

    def __init__(self) -> None:
        self._left: Snapshot = []
        self._last: dict[int, Snapshot] = {}
        self._awaited: set[int] = set()
        self._asking: list[Reply] = []
        self._next: list[Reply] = []
        self._ends: float | None = None

    def want(self, reply: Reply) -> None:
        """Tell somebody the sum after the next round: in one that goes on, some have told before they were asked."""
        self._next.append(reply)

    @property
    def is_wanted(self) -> bool:
        """Whether a round should begin now."""
        return bool(self._next) and self._ends is None

    @property
    def ends(self) -> float | None:
        """When the round is over at the latest, `None` while there is none."""
        return self._ends

    def begin(self, workers: Collection[int], now: float) -> None:
        """Begin a round, in which these are asked."""
        self._awaited, self._ends = set(workers), now + PATIENCE
        self._asking, self._next = self._next, []

    def told(self, worker: int, snapshot: Snapshot) -> None:
        """A worker's answer, or its last words."""
        self._last[worker] = snapshot
        self._awaited.discard(worker)

    def ended(self, worker: int) -> None:
        """A worker is gone; what it counted stays."""
        self._left = sums.added([self._left, sums.lasting(self._last.pop(worker, []))])
        self._awaited.discard(worker)

    def finish(self, now: float) -> None:
        """End the round if all have told, or nobody is waited for any longer."""
        if self._ends is None or (self._awaited and now < self._ends):
            return
        self._ends = None
        asking, self._asking = self._asking, []
        if asking:
            text = self._text()
            for reply in asking:
                reply(text)

    def _text(self) -> str:
        return sums.render(sums.added([self._left, *self._last.values()])).decode()
