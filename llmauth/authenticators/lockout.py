"""Slows down whoever guesses one user's password: after some wrong ones, each further has to wait longer."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final

from llmauth.clock import Clock

FREE: Final = 5
"""Wrong values in a row that cost nothing."""
FIRST_SECONDS: Final = 1.0
LONGEST_SECONDS: Final = 300.0


@dataclass(slots=True)
class _Count:
    wrong: int = 0
    until: float = 0.0


class Lockout:
    """Counts for each name: those of the configuration, or the last `most` where strangers may make them up.

    It is of this process alone, and of the name alone: guesses come from as many addresses as one likes.
    """

    def __init__(self, clock: Clock, most: int | None = None) -> None:
        self._clock = clock
        self._most = most
        self._counts: dict[str, _Count] = {}
        self._changing = threading.Lock()

    def is_locked(self, name: str) -> bool:
        """Whether no value of this name may be tried now; takes no lock."""
        count = self._counts.get(name)
        return count is not None and count.until > self._clock.monotonic()

    def failed(self, name: str) -> None:
        """Count a wrong value: the fifth in a row locks for a second, and each further one for twice as long."""
        with self._changing:
            count = self._counts.pop(name, None) or _Count()
            while self._most is not None and len(self._counts) >= self._most:
                del self._counts[next(iter(self._counts))]
            self._counts[name] = count
            count.wrong += 1
            if count.wrong >= FREE:
                doubled = min(count.wrong - FREE, 16)
                count.until = self._clock.monotonic() + min(FIRST_SECONDS * 2**doubled, LONGEST_SECONDS)

    def passed(self, name: str) -> None:
        """Forget what was counted."""
        with self._changing:
            self._counts.pop(name, None)
