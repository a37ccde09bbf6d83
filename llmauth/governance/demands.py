"""What one request asks of the limits, and what it was given: the values that all engines of limits share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any, NamedTuple, Self

from llmauth.rules import Period, Rules

# An engine in Redis counts in numbers that are exact up to 2**53, and everywhere the same numbers hold.
NANOS = 1_000_000_000
MOST_PER_MINUTE = 1_000_000_000
MOST_MONEY = 9_000_000
MOST_TOKENS = 10**11
_MOST_NANOS = MOST_MONEY * NANOS


def nanos(money: Decimal) -> int:
    """Money in billionths of its unit, rounded up, at most what a budget may hold; never less than nothing."""
    if money <= 0:
        return 0
    return _MOST_NANOS if money >= MOST_MONEY else int((money * NANOS).to_integral_value(ROUND_CEILING))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """One holder of limits, `user:alice` or `key:ID`, and its numbers; `budget` is in billionths. None has no limit."""

    key: str
    rpm: int | None = None
    tpm: int | None = None
    concurrent: int | None = None
    budget: int | None = None
    per: Period = "day"

    @classmethod
    def of(cls, key: str, rules: Rules) -> Self | None:
        """The scope of these rules, `None` where they limit nothing by number."""
        budget = rules.budget
        if (rules.rpm, rules.tpm, rules.concurrent, budget) == (None, None, None, None):
            return None
        return cls(
            key=key,
            rpm=_at_most(rules.rpm),
            tpm=_at_most(rules.tpm),
            concurrent=_at_most(rules.concurrent),
            budget=None if budget is None else nanos(budget.amount),
            per="day" if budget is None else budget.per,
        )


def _at_most(number: int | None) -> int | None:
    return None if number is None else max(0, min(number, MOST_PER_MINUTE))


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """One request: whose limits count, and the estimate of what it will use. `tokens` and `cost` are reserved."""

    scopes: tuple[Scope, ...]
    tokens: int = 0
    cost: Decimal = Decimal(0)

    @property
    def reserved(self) -> int:
        """Tokens that are reserved: at least one, since no answer takes none."""
        return min(max(self.tokens, 1), MOST_TOKENS)

    @property
    def nanos(self) -> int:
        """Money that is reserved, in billionths."""
        return nanos(self.cost)


class Reading(NamedTuple):
    """How one scope stands. Levels are in units of `buckets.UNIT`, None where there is no such limit.

    `spent` (billionths) counts for the period that began at `began` (Unix time), reserves included.
    """

    requests: int | None = None
    tokens: int | None = None
    running: int = 0
    spent: int = 0
    began: int = 0


class Settlement(NamedTuple):
    """What became of a request: by how much its use differs from what was reserved.

    `began` are the periods, one for each scope, from which the reserve was taken; 0 where none was.
    """

    scopes: tuple[Scope, ...]
    tokens: int
    nanos: int
    began: tuple[int, ...]


class Permit:
    """A request that was let in. It is settled or released once; afterwards both do nothing.

    `alone` is the permit of the engine that counted alone during an outage, and `origin` that engine.
    """

    __slots__ = ("alone", "demand", "open", "origin", "readings")

    def __init__(
        self, demand: Demand, readings: tuple[Reading, ...] = (), alone: Permit | None = None, origin: Any = None
    ) -> None:
        self.demand = demand
        self.readings = readings
        self.alone = alone
        self.origin = origin
        self.open = True

    def settlement(self, tokens: int | None, cost: Decimal | None) -> Settlement:
        """What a use of these tokens and this much money changes; None stands for what was reserved.

        Of what was let in during an outage nothing was reserved where others count, so there it is charged whole.
        """
        demand, charged = self.demand, self.alone is None
        used = demand.reserved if tokens is None else min(max(tokens, 0), MOST_TOKENS)
        paid = demand.nanos if cost is None else nanos(cost)
        return Settlement(
            scopes=demand.scopes,
            tokens=used - (demand.reserved if charged else 0),
            nanos=paid - (demand.nanos if charged else 0),
            began=tuple([reading.began if charged else 0 for reading in self.readings]),
        )


def scopes_of(rules: Mapping[str, Rules] | Iterable[tuple[str, Rules]]) -> tuple[Scope, ...]:
    """The scopes of those rules that limit something by number."""
    pairs = rules.items() if isinstance(rules, Mapping) else rules
    found = (Scope.of(key, each) for key, each in pairs)
    return tuple(scope for scope in found if scope is not None)
