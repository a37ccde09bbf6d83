"""The arithmetic of one scope's limits, in whole numbers: two buckets, a count of what runs, money of a period."""

from __future__ import annotations

from llmauth.governance.demands import MOST_TOKENS, Reading, Scope
from llmauth.governance.periods import Span

UNIT = 60_000
"""One request or token. A limit of one a minute refills one sixty-thousandth of it in a millisecond: a whole number."""
DEEPEST = -MOST_TOKENS * UNIT


class State:
    """How one scope stands. A level that is None is a full bucket.

    A bucket that does not count for one request refills all the same, by the last rate that was asked of it.

    Times are milliseconds. Nothing here waits or looks at a clock.
    """

    __slots__ = ("at", "began", "ends", "requests", "rpm", "running", "spent", "tokens", "tpm")

    def __init__(self, at: int) -> None:
        self.at = at
        self.rpm = self.tpm = 0
        self.requests: int | None = None
        self.tokens: int | None = None
        self.running = 0
        self.spent = 0
        self.began = self.ends = 0

    def follow(self, scope: Scope, now: int, span: Span | None) -> None:
        """Let both buckets refill up to now; a budget whose period is over begins anew."""
        elapsed = now - self.at
        if elapsed < 0:
            elapsed = 0
        if elapsed or self.at - now > UNIT:
            # A clock that was put back a little refills nothing twice; one that was put back far is followed.
            self.at = now
        if scope.rpm is not None:
            self.rpm = scope.rpm
        if scope.tpm is not None:
            self.tpm = scope.tpm
        if scope.rpm is not None or self.requests is not None:
            self.requests = _refilled(self.requests, self.rpm, elapsed)
        if scope.tpm is not None or self.tokens is not None:
            self.tokens = _refilled(self.tokens, self.tpm, elapsed)
        if span is not None and span.began > self.began:  # a clock that was put back gives nobody a second budget
            self.spent = 0
            self.began, self.ends = span

    def has_room(self, scope: Scope, tokens: int, nanos: int) -> bool:
        """Whether one more request fits, as it stands after `follow`."""
        if scope.rpm is not None and self.requests is not None and self.requests < UNIT:
            return False
        if scope.tpm is not None and self.tokens is not None and self.tokens < wanted(tokens, scope.tpm):
            return False
        if scope.concurrent is not None and self.running >= scope.concurrent:
            return False
        return scope.budget is None or (self.spent < scope.budget and self.spent + nanos <= scope.budget)

    def take(self, scope: Scope, tokens: int, nanos: int) -> None:
        """Take one request with its reserves."""
        if scope.rpm is not None and self.requests is not None:
            self.requests -= UNIT
        if scope.tpm is not None and self.tokens is not None:
            self.tokens -= tokens * UNIT
        if scope.concurrent is not None:
            self.running += 1
        if scope.budget is not None:
            self.spent += nanos

    def settle(self, scope: Scope, tokens: int, nanos: int, began: int) -> None:
        """Take what was used beyond the reserve, or give back what was not; after `follow`.

        Money is given back to the period that it was taken from alone; what a request costs beyond that, to this one.
        """
        if scope.tpm is not None and self.tokens is not None:
            self.tokens = max(DEEPEST, min(scope.tpm * UNIT, self.tokens - tokens * UNIT))
        if scope.budget is not None and (nanos > 0 or began == self.began):
            self.spent = max(0, self.spent + nanos)

    def free(self, scope: Scope) -> None:
        """One request has ended."""
        if scope.concurrent is not None and self.running > 0:
            self.running -= 1

    def reading(self) -> Reading:
        """As it stands now."""
        return Reading(self.requests, self.tokens, self.running, self.spent, self.began)

    def is_idle(self, now: int, wall: int) -> bool:
        """Whether it stands as one that was never asked for: then it may be forgotten. `wall` is Unix time."""
        elapsed = now - self.at
        full = elapsed > UNIT and (self.tokens or 0) + elapsed * self.tpm >= self.tpm * UNIT
        return full and self.running == 0 and (self.spent == 0 or wall >= self.ends)


def wanted(tokens: int, tpm: int) -> int:
    """What must be in the bucket for a request of so many tokens.

    A request that is larger than the whole bucket is let in when that is full, and leaves it in debt.
    """
    return min(tokens, tpm) * UNIT


def _refilled(level: int | None, rate: int, elapsed: int) -> int:
    full = rate * UNIT
    return full if level is None else min(full, level + elapsed * rate)
