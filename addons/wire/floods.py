"""What a client of HTTP/2 may make us do for next to nothing, counted: past that, it is an attack."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from enum import Enum

from h2.exceptions import DenialOfServiceError


class Kind(Enum):
    """Frames that are cheap to send and not to receive."""

    RESET = "streams taken back"  # CVE-2023-44487: opened and reset, so that no limit of open streams holds
    FAULT = "streams in error"  # the same, where our side is made to do the reset
    REFUSAL = "refused requests"
    SETTINGS = "settings"
    PING = "pings"
    PRIORITY = "priorities"
    WINDOW = "window updates"
    EMPTY = "empty frames"
    SMALL = "small frames"
    OTHER = "unknown frames"


# How many at once, and how many a second in the long run. Honest clients stay far below: Go's sends a ping with each
# request that it takes back, others a window update or two for each frame that they read (those are credited).
ALLOWED: Mapping[Kind, tuple[int, float]] = {
    Kind.RESET: (200, 30),
    Kind.FAULT: (100, 10),
    Kind.REFUSAL: (100, 5),
    Kind.SETTINGS: (20, 1),
    Kind.PING: (250, 40),
    Kind.PRIORITY: (300, 50),
    Kind.WINDOW: (1000, 100),
    Kind.EMPTY: (50, 5),
    Kind.SMALL: (5000, 1000),
    Kind.OTHER: (50, 5),
}


class Floods:
    """The counts of one connection: a bucket for each kind, which fills again as time goes by."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._left: dict[Kind, tuple[float, float]] = {}

    def count(self, kind: Kind) -> None:
        """One more of this kind; DenialOfServiceError, which ends the connection, when it is one too many."""
        left = self._refilled(kind) - 1
        if left < 0:
            raise DenialOfServiceError(f"too many {kind.value}")
        self._left[kind] = (left, self._now())

    def credit(self, kind: Kind, more: int) -> None:
        """What we did ourselves allows the client so many more of this kind."""
        self._left[kind] = (self._refilled(kind) + more, self._now())

    def _refilled(self, kind: Kind) -> float:
        burst, rate = ALLOWED[kind]
        now = self._now()
        left, since = self._left.get(kind, (float(burst), now))
        return min(burst, left + (now - since) * rate) if left < burst else left
