"""An onlooker keeps a beginning, counts the rest, and tells once until somebody has looked."""

from __future__ import annotations

from addons.viewing.bodies import KEPT
from addons.viewing.onlooker import Onlooker


def test_it_tells_once_until_somebody_looks() -> None:
    told: list[int] = []
    onlooker = Onlooker(lambda: told.append(1))
    onlooker.feed(b"a")
    onlooker.feed(b"b")
    assert told == [1]
    assert onlooker.look() == b"ab"
    onlooker.feed(b"c")
    assert told == [1, 1]


def test_it_keeps_no_more_than_is_shown() -> None:
    told: list[int] = []
    onlooker = Onlooker(lambda: told.append(1))
    for _ in range(100):
        onlooker.feed(b"x" * 10_000)
        onlooker.look()
    assert len(onlooker) == len(onlooker.look()) == KEPT
    assert onlooker.total == 1_000_000
    assert len(told) < 30, "what is not kept is nothing new"
