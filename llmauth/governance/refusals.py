"""The sentence for a request that does not fit: which limit, whose, and when to try again."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

from llmauth.errors import InsufficientQuota, RateLimited
from llmauth.governance.buckets import UNIT, wanted
from llmauth.governance.demands import NANOS, Demand, Reading, Scope
from llmauth.governance.periods import span_of
from llmauth.governance.standing import standing_of

Kind = Literal["requests", "tokens", "concurrent", "budget"]
_LONGEST = 3_600
_WHO = {"user": "this user", "key": "this key"}


@dataclass(frozen=True, slots=True)
class _Reached:
    kind: Kind
    seconds: int
    message: str
    scope: Scope


def refusal(demand: Demand, readings: Sequence[Reading], wall: float) -> RateLimited:
    """The error for a demand that did not fit where the scopes stood so; `wall` is the time of who counted.

    Of several limits that are reached a budget is told first, else the one that takes longest.
    """
    reached = list(_reached(demand, readings, wall))
    if not reached:  # what was read has changed meanwhile
        return RateLimited("A limit is reached.", retry_after=1)
    first = max(reached, key=lambda each: (each.kind == "budget", each.seconds))
    error = InsufficientQuota if first.kind == "budget" else RateLimited
    return error(
        first.message,
        hint=_hint(first, wall),
        retry_after=first.seconds,
        detail=f"limit={first.kind} scope={first.scope.key}",
        limit=first.kind,
        standing=standing_of(demand.scopes, readings),
    )


def _reached(demand: Demand, readings: Sequence[Reading], wall: float) -> Iterator[_Reached]:
    for scope, reading in zip(demand.scopes, readings, strict=False):
        who = _WHO.get(scope.key.partition(":")[0], "this caller")
        yield from _of_requests(scope, reading, who)
        yield from _of_tokens(scope, reading, demand, who)
        yield from _of_concurrency(scope, reading, who)
        yield from _of_money(scope, reading, demand, who, wall)


def _of_requests(scope: Scope, reading: Reading, who: str) -> Iterator[_Reached]:
    if scope.rpm is not None and reading.requests is not None and reading.requests < UNIT:
        message = f"The limit of {scope.rpm} requests per minute of {who} is reached."
        yield _Reached("requests", _seconds(UNIT - reading.requests, scope.rpm), message, scope)


def _of_tokens(scope: Scope, reading: Reading, demand: Demand, who: str) -> Iterator[_Reached]:
    if scope.tpm is None or reading.tokens is None:
        return
    missing = wanted(demand.reserved, scope.tpm) - reading.tokens
    if missing > 0:
        left = max(0, reading.tokens // UNIT)
        message = (
            f"The limit of {scope.tpm} tokens per minute of {who} is reached: {left} are left, "
            f"and this request may take {demand.reserved}."
        )
        yield _Reached("tokens", _seconds(missing, scope.tpm), message, scope)


def _of_concurrency(scope: Scope, reading: Reading, who: str) -> Iterator[_Reached]:
    if scope.concurrent is not None and reading.running >= scope.concurrent:
        message = f"{who[0].upper()}{who[1:]} may have {scope.concurrent} requests running at a time, and has."
        yield _Reached("concurrent", 1, message, scope)


def _of_money(scope: Scope, reading: Reading, demand: Demand, who: str, wall: float) -> Iterator[_Reached]:
    if scope.budget is None:
        return
    began, ends = span_of(scope.per, wall)
    spent = reading.spent if reading.began >= began else 0
    budget = f"The budget of {_money(scope.budget)} per {scope.per} of {who}"
    if spent >= scope.budget:
        message = f"{budget} is spent."
    elif spent + demand.nanos > scope.budget:
        left = _money(scope.budget - spent)
        message = f"{budget} has {left} left, and this request may cost {_money(demand.nanos)}."
    else:
        return
    yield _Reached("budget", max(1, math.ceil(ends - wall)), message, scope)


def _hint(first: _Reached, wall: float) -> str:
    if first.kind == "budget":
        ends = span_of(first.scope.per, wall).ends
        return f"It renews at {datetime.fromtimestamp(ends, UTC):%Y-%m-%dT%H:%M:%SZ}."
    if first.kind == "concurrent":
        return "Wait for one of them to end."
    return f"Try again in {first.seconds} second{'' if first.seconds == 1 else 's'}."


def _seconds(missing: int, rate: int) -> int:
    """Until so much has been refilled; for what never refills, an hour, after which somebody may have raised it."""
    return min(_LONGEST, max(1, math.ceil(missing / rate / 1000))) if rate else _LONGEST


def _money(nanos: int) -> str:
    """As people write it: two places where they suffice."""
    amount = Decimal(nanos) / NANOS
    return f"{amount:.2f}" if amount == round(amount, 2) else f"{amount.normalize():f}"
