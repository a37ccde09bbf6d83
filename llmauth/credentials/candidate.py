"""A strategy at its place in an instance's order: what it said last, and when it may be asked again."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from llmauth.credentials.cache import Source

Jitter = Callable[[], float]
"""A number between 0 and 1, another one each time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackOff:
    """Seconds before a strategy is asked again: doubled from `first` to `longest`."""

    first: float
    longest: float

    def after(self, failures: int) -> float:
        """The wait after so many failures in a row."""
        return float(min(self.first * 2 ** min(failures - 1, 10), self.longest))


# What does not exist here will hardly exist in a second; what is broken may be mended by then.
UNAVAILABLE = BackOff(first=5.0, longest=60.0)
FAILED = BackOff(first=1.0, longest=30.0)
# While an instance has no credential at all, its recovery shall be noticed within 15 s, although a source that hangs
# takes 5 s to say so.
LONGEST_WITHOUT = 8.0
# The first minute of a process is often the first of its pod, when Google's metadata server and a token that is to be
# mounted may be seconds away.
YOUNG = 60.0
LONGEST_WHILE_YOUNG = 5.0


class Candidate:
    """One strategy. `reason` says why it gave nothing when it was last asked, `None` when it was not or did.

    `asked_at` is Unix time.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.label = source.strategy.label
        self.reason: str | None = None
        self.asked_at: float | None = None
        self._failures = 0
        self._failed_at = -math.inf
        self._delay = 0.0

    def wait(self, now: float, *, usable: bool) -> float:
        """Seconds until it may be asked again; `usable` says whether the instance has a credential meanwhile."""
        delay = self._delay if usable else min(self._delay, LONGEST_WITHOUT)
        return max(0.0, self._failed_at + delay - now)

    def refused(self, reason: str, back_off: BackOff, now: float, jitter: float, *, young: bool = False) -> bool:
        """Note a refusal; whether it says something new. `young` says that the process has only just begun."""
        new = reason != self.reason
        self.reason = reason
        self._failures += 1
        self._failed_at = now
        delay = back_off.after(self._failures) * (1 - jitter / 2)
        self._delay = min(delay, LONGEST_WHILE_YOUNG) if young else delay
        return new

    def due(self) -> None:
        """It may be asked again at once."""
        self._delay = 0.0

    def answered(self) -> None:
        """Note that it gave a credential."""
        self.reason = None
        self._failures = 0
        self._delay = 0.0
