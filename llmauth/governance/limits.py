"""The interface of every engine of limits, whoever counts."""

from __future__ import annotations

from decimal import Decimal
from typing import Protocol

from llmauth.governance.demands import Demand, Permit


class Limiter(Protocol):
    """Lets requests in, and is told what became of them. All methods are called on the event loop."""

    async def start(self) -> None:
        """Reach whoever counts; where that fails it is told in the log, and tried again."""
        ...

    async def stop(self) -> None:
        """Send what was not sent yet, for a second at most, and free what this process holds."""
        ...

    def admit_now(self, demand: Demand) -> Permit | None:
        """The same as `admit` without waiting, `None` where others must be asked."""
        ...

    async def admit(self, demand: Demand) -> Permit:
        """Take all that is asked of all scopes, or nothing at all.

        RateLimited or InsufficientQuota, with `retry_after`, `limit` and `standing`; Unavailable while nobody counts.
        """
        ...

    def settle(self, permit: Permit, tokens: int | None, cost: Decimal | None) -> None:
        """The request has ended and used this much; None leaves what was reserved. Never waits, never raises."""
        ...

    def release(self, permit: Permit) -> None:
        """The request came to nothing: reserves are given back, and it counts as a request. Never waits or raises."""
        ...
