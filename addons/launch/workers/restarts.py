"""How long a worker that ended is waited with: not at all at first, then longer and longer while it does not live."""

from __future__ import annotations

SOON = 0.1
LONGEST = 30.0
LIVED = 60.0
"""Seconds after which an end is a new trouble and not the old one again."""


class Restarts:
    """Of one worker. Times are seconds."""

    def __init__(self) -> None:
        self._wait = SOON

    def after(self, lived: float) -> float:
        """How long to wait with the next start, now that it has ended after it lived so long."""
        if lived >= LIVED:
            self._wait = SOON
        wait, self._wait = self._wait, min(self._wait * 2, LONGEST)
        return wait
