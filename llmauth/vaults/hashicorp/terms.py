"""How long something is lent, from when: told by whichever clock says that more time has passed."""

from __future__ import annotations

import math
from dataclasses import dataclass

from llmauth.clock import Clock

# When a token or a lease is renewed. Credentials are asked for again at 72 to 80 % of their life: it is due by then.
SHARE_OF_LIFE = 2 / 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A life in seconds (infinite for what has no end), and the moment at which it began on both clocks."""

    life: float
    wall: float
    monotonic: float

    @classmethod
    def begun(cls, life: float | None, clock: Clock) -> Term:
        """One that begins now; take it before the call that lends, since the time of the call is of the life."""
        return cls(life=math.inf if life is None else life, wall=clock.wall(), monotonic=clock.monotonic())

    def lasting(self, life: float | None) -> Term:
        """The same beginning, with this life."""
        return Term(life=math.inf if life is None else life, wall=self.wall, monotonic=self.monotonic)

    def age(self, clock: Clock) -> float:
        """Seconds since it began."""
        return max(clock.wall() - self.wall, clock.monotonic() - self.monotonic)

    def left(self, clock: Clock) -> float:
        """Seconds until it ends; nothing or less once it has."""
        return self.life - self.age(clock)

    def is_due(self, clock: Clock) -> bool:
        """Whether it is time to renew it."""
        return self.age(clock) >= SHARE_OF_LIFE * self.life
