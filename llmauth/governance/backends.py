"""Whoever counts for several processes: the questions that a process asks, and the only way in which these fail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from llmauth.governance.demands import Demand, Reading, Settlement

LEASE_SECONDS = 12.0
"""How long a process may say nothing until what it holds counts as free: with a beat each 3 s, under 15 s."""
PATIENCE_SECONDS = 1.0
"""How long one question may take."""


class BackendFailed(Exception):
    """It cannot be asked now. The text says why in our own words: what a stranger answers never reaches the log."""


class Answer(NamedTuple):
    """Whether a demand was let in; `known` is False where the process that asks holds no lease, and nothing was done.

    Readings are those after it was let in, or those that kept it out; `wall` is the Unix time of who counts.
    """

    admitted: bool
    readings: tuple[Reading, ...] = ()
    wall: float = 0.0
    known: bool = True


class Backend(Protocol):
    """All of these raise BackendFailed. A holder is one process, between two of its entries."""

    @property
    def place(self) -> str:
        """Who that is and where, without credentials."""
        ...

    @property
    def width(self) -> int:
        """How many questions it takes at a time."""
        ...

    @property
    def lease(self) -> float:
        """Seconds that a holder may be silent."""
        ...

    async def enter(self, holder: str, former: str | None, running: Mapping[str, int]) -> None:
        """Begin a lease, with so many running requests of each scope; what the former holder held is free."""
        ...

    async def beat(self, holder: str) -> bool:
        """Renew the lease; False where it has ended."""
        ...

    async def admit(self, holder: str, demand: Demand) -> Answer:
        """Take all of it or nothing, in one step that no other process can come between."""
        ...

    async def settle(self, holder: str, settlement: Settlement, *, ends: bool) -> None:
        """Add what a request used beyond its reserve; `ends` where this holder counted it as running."""
        ...

    async def leave(self, holder: str) -> None:
        """End the lease."""
        ...

    async def close(self) -> None:
        """Close all connections; never raises."""
        ...
