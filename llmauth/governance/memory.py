"""Limits in the memory of one process: no lock, no waiting, for the one thread that asks."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from llmauth.clock import Clock, SystemClock
from llmauth.errors import Unavailable
from llmauth.governance.buckets import State
from llmauth.governance.demands import Demand, Permit, Scope, Settlement
from llmauth.governance.periods import Span, span_of
from llmauth.governance.refusals import refusal
from llmauth.rules import Period

MOST_SCOPES = 200_000
_LOOKED_AT = 4


class MemoryLimiter:
    """All methods belong to one thread: that of the event loop, or of the process that counts for its workers."""

    def __init__(self, clock: Clock | None = None, most: int = MOST_SCOPES) -> None:
        self._clock = clock or SystemClock()
        self._most = most
        self._states: dict[str, State] = {}
        self._spans: dict[Period, Span] = {}

    async def start(self) -> None:
        """Nothing has to be reached."""

    async def stop(self) -> None:
        """Nothing is held open."""

    async def admit(self, demand: Demand) -> Permit:
        """The same as `admit_now`."""
        return self.admit_now(demand)

    def admit_now(self, demand: Demand) -> Permit:
        """Take all that is asked of all scopes, or nothing: RateLimited or InsufficientQuota with `retry_after`."""
        permit = self.try_now(demand)
        if permit.open:
            return permit
        raise refusal(demand, permit.readings, self._clock.wall())

    def try_now(self, demand: Demand) -> Permit:
        """The same without raising for what does not fit: then the permit is closed, and tells how all stand."""
        scopes, tokens, nanos = demand.scopes, demand.reserved, demand.nanos
        now = int(self._clock.monotonic() * 1000)
        states = [self._state(scope, now) for scope in scopes]
        fits = True
        for scope, state in zip(scopes, states, strict=True):
            state.follow(scope, now, None if scope.budget is None else self._span(scope.per))
            fits = fits and state.has_room(scope, tokens, nanos)
        if fits:
            for scope, state in zip(scopes, states, strict=True):
                state.take(scope, tokens, nanos)
        permit = Permit(demand, tuple([state.reading() for state in states]))
        permit.open = fits
        return permit

    def settle(self, permit: Permit, tokens: int | None, cost: Decimal | None) -> None:
        """The request has ended and used this much; None leaves what was reserved. Never raises."""
        if permit.open:
            permit.open = False
            self.apply(permit.settlement(tokens, cost))

    def release(self, permit: Permit) -> None:
        """The request came to nothing: what was reserved is given back, and it counts as a request. Never raises."""
        self.settle(permit, 0, Decimal(0))

    def apply(self, settlement: Settlement, *, ends: bool = True) -> None:
        """Add what a request used beyond its reserve; `ends` unless it was not counted as running here."""
        now = int(self._clock.monotonic() * 1000)
        for scope, began in zip(settlement.scopes, settlement.began, strict=True):
            state = self._states.setdefault(scope.key, State(now))
            state.follow(scope, now, None if scope.budget is None else self._span(scope.per))
            state.settle(scope, settlement.tokens, settlement.nanos, began)
            if ends:
                state.free(scope)

    def occupy(self, key: str, count: int) -> None:
        """Count so many requests of a scope as running, as one who counted them elsewhere says; may be negative."""
        state = self._states.setdefault(key, State(int(self._clock.monotonic() * 1000)))
        state.running = max(0, state.running + count)

    def wall(self) -> float:
        """The Unix time by which periods are counted."""
        return self._clock.wall()

    def running(self) -> dict[str, int]:
        """The scopes that have requests running, and how many."""
        return {key: state.running for key, state in self._states.items() if state.running}

    def __len__(self) -> int:
        return len(self._states)

    def _state(self, scope: Scope, now: int) -> State:
        state = self._states.get(scope.key)
        if state is None:
            self._forget(now)
            state = self._states[scope.key] = State(now)
        return state

    def _forget(self, now: int) -> None:
        """Look at those that were looked at longest ago, and let go of the idle: so idle ones never pile up."""
        wall = int(self._clock.wall())
        for key in list(_first(self._states, _LOOKED_AT)):
            state = self._states.pop(key)
            if not state.is_idle(now, wall):
                self._states[key] = state
        if len(self._states) >= self._most:
            raise Unavailable("Too many callers have limits at the same time.", retry_after=60, detail="limits")

    def _span(self, per: Period) -> Span:
        wall = self._clock.wall()
        span = self._spans.get(per)
        if span is None or not span.began <= wall < span.ends:
            span = self._spans[per] = span_of(per, wall)
        return span


def _first(states: dict[str, State], count: int) -> Iterator[str]:
    return (key for key, _ in zip(states, range(count), strict=False))
