"""The periods of budgets: hours, days, weeks and months of the calendar, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from llmauth.rules import Period

_HOUR, _DAY, _WEEK = 3_600, 86_400, 604_800
# The first of January 1970 was a Thursday, and weeks begin on Monday.
_TO_MONDAY = 3 * _DAY


class Span(NamedTuple):
    """From `began` up to `ends`, without the latter; Unix time in whole seconds."""

    began: int
    ends: int


def span_of(per: Period, moment: float) -> Span:
    """The period that holds a moment."""
    now = int(moment)
    if per == "month":
        return _month(now)
    length = {"hour": _HOUR, "day": _DAY, "week": _WEEK}[per]
    shift = _TO_MONDAY if per == "week" else 0
    began = (now + shift) // length * length - shift
    return Span(began, began + length)


def _month(now: int) -> Span:
    first = datetime.fromtimestamp(now, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return Span(int(first.timestamp()), int(following.timestamp()))
