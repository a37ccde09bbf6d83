"""Ids of requests: cut to what tells them apart, found by their beginning, and their requests in the order of time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

OURS = "req_"
_SHORTEST = 8


def begins(request_id: str, name: str) -> bool:
    """Whether this is the beginning of an id; of one of ours `req_` may be left out."""
    return bool(name) and request_id.startswith((name, f"{OURS}{name}"))


def shortener(ids: Sequence[str]) -> Callable[[str], str]:
    """A function that cuts any of these ids to a beginning that no other has, of at least eight characters."""
    ordered = sorted(set(ids))

    def short(one: str) -> str:
        place = bisect_left(ordered, one)
        around = ordered[max(0, place - 1) : place] + ordered[place + 1 : place + 2]
        return one[: max([_SHORTEST, *(_common(one, other) + 1 for other in around)])]

    return short


def _common(one: str, other: str) -> int:
    """How many characters both begin with."""
    unlike = (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return next(unlike, min(len(one), len(other)))


def newest_last(answers: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The requests of several answers, in the order in which they came in."""
    return sorted((one for answer in answers for one in answer["requests"]), key=lambda one: one["at"])
