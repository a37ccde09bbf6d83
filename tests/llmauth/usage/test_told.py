"""Counts that are told, and their sum."""

from __future__ import annotations

from typing import Any

import pytest

from llmauth.usage.told import MOST, Told, count, counts, disjoint, folded, member
from tests.llmauth.usage.answers import tokens


@pytest.mark.parametrize(
    ("value", "number"), [(0, 0), (7, 7), (7.0, 7), (MOST, MOST), (MOST + 1, None), (10**400, None), (-1, None)]
)
def test_whole_numbers_in_reason_are_counts(value: Any, number: int | None) -> None:
    assert count({"a": value}, "a") == number


@pytest.mark.parametrize("value", [True, "7", None, [7], {}, 7.5, float("nan"), float("inf"), -0.5])
def test_nothing_else_is_a_count(value: Any) -> None:
    assert count({"a": value, "b": 3}, "a") is None
    assert count({"a": value, "b": 3}, "a", "b") == 3


@pytest.mark.parametrize("value", [None, 7, "a", ["a"], True])
def test_what_is_no_object_has_no_members(value: Any) -> None:
    assert count(value, "a") is None
    assert member(value, "a") is None
    assert counts(value, {"input": "a"}) == {}


def test_cached_tokens_are_taken_out_of_the_prompt_and_never_more_than_it_has() -> None:
    assert disjoint(10, 3, 2) == {"input": 5, "cache_read": 3, "cache_write": 2}
    assert disjoint(10, None, None) == {"input": 10, "cache_read": 0, "cache_write": 0}
    assert disjoint(10, 8, 9) == {"input": 0, "cache_read": 8, "cache_write": 2}
    assert disjoint(None, 3, 2) == {}


def test_later_pieces_tell_more() -> None:
    first, last = Told({"input": 9, "output": 1}, final=False), Told({"output": 40, "reasoning": 4})
    assert folded([first]) == (tokens(9, 1), False)
    assert folded([first, last]) == (tokens(9, 40, reasoning=4), True)
    assert folded([]) == (None, False)


def test_what_stands_beside_fills_gaps_alone() -> None:
    beside = Told({"input": 100, "output": 200, "cache_read": 3}, beside=True)
    assert folded([Told({"input": 9}), beside]) == (tokens(9, 200, read=3), True)
    assert folded([beside]) == (tokens(100, 200, read=3), True)
