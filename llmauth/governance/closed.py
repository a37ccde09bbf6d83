"""Callers who have no request left, as whoever counts has said: until they have, nobody needs to be asked again."""

from __future__ import annotations

from collections.abc import Sequence

from llmauth.governance.buckets import UNIT
from llmauth.governance.demands import Demand, Reading, Scope

_MOST = 10_000


class Closed:
    """Until when a scope has no request left. A flood of refused requests then costs those who share a store nothing.

    It is exact: requests that were taken are never given back, so nothing but time fills their bucket. `now` is
    monotonic seconds; a limit that was changed is another one.
    """

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until: dict[tuple[str, int], float] = {}

    def learn(self, demand: Demand, readings: Sequence[Reading], asked_at: float) -> None:
        """What the readings of a refusal tell; they are not older than the question."""
        for scope, reading in zip(demand.scopes, readings, strict=False):
            if scope.rpm and reading.requests is not None and reading.requests < UNIT:
                if len(self._until) >= _MOST:
                    self._until.clear()
                self._until[scope.key, scope.rpm] = asked_at + (UNIT - reading.requests) / scope.rpm / 1000

    def readings(self, demand: Demand, now: float) -> tuple[Reading, ...]:
        """How the scopes stand that are known to have none left; empty where there is no such scope."""
        if not self._until:
            return ()
        found = tuple([self._reading(scope, now) for scope in demand.scopes])
        return found if any(reading.requests is not None for reading in found) else ()

    def _reading(self, scope: Scope, now: float) -> Reading:
        until = self._until.get((scope.key, scope.rpm or 0))
        if until is None or not scope.rpm:
            return Reading()
        if until <= now:
            del self._until[scope.key, scope.rpm]
            return Reading()
        return Reading(requests=min(UNIT - 1, int(UNIT - (until - now) * 1000 * scope.rpm)))
