"""What one caller may do, and how much: the values that keys and policies have in common."""

from __future__ import annotations

from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any, Literal

Period = Literal["hour", "day", "week", "month"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """So much money in each period of the calendar (UTC; weeks begin on Monday)."""

    amount: Decimal
    per: Period


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Limits of one caller. `None` says nothing: then what is less specific counts; an empty tuple allows nothing.

    `models` are globs (`claude-*`), `hosts` are names of native hosts, `methods` are those of authentication; `rpm` is
    requests a minute, `tpm` tokens a minute, `concurrent` requests at the same time.
    """

    models: tuple[str, ...] | None = None
    instances: tuple[str, ...] | None = None
    protocols: tuple[str, ...] | None = None
    hosts: tuple[str, ...] | None = None
    methods: tuple[str, ...] | None = None
    rpm: int | None = None
    tpm: int | None = None
    concurrent: int | None = None
    budget: Budget | None = None

    def over(self, other: Rules) -> Rules:
        """These, and the other's where these say nothing."""
        return Rules(**{name: _first(getattr(self, name), getattr(other, name)) for name in _NAMES})


def _first(one: Any, other: Any) -> Any:
    return other if one is None else one


_NAMES = tuple(field.name for field in fields(Rules))
NO_RULES = Rules()
