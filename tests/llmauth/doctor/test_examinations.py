"""Which examinations there are, and how some of them are chosen."""

from __future__ import annotations

import pytest

from llmauth.doctor.examinations import EXAMINATIONS, chosen


def names(*, only: tuple[str, ...] = (), skipped: tuple[str, ...] = (), pod: bool = False) -> list[str]:
    return [one.name for one in chosen(only, skipped, pod=pod)]


def test_those_of_a_pod_and_those_of_a_shell_are_kept_apart() -> None:
    assert {"pod", "endpoints", "cluster", "memory"}.isdisjoint(names())
    assert names(pod=True)[:4] == ["pod", "endpoints", "cluster", "memory"]
    assert "clients" not in names(pod=True)
    assert set(names()) | set(names(pod=True)) == {one.name for one in EXAMINATIONS}


def test_one_can_be_asked_for_or_left_out() -> None:
    assert names(only=("ca", "memory")) == ["memory", "ca"]
    assert "clients" not in names(skipped=("clients",))
    with pytest.raises(ValueError, match="no examination is called 'x'"):
        names(only=("x",))


def test_every_name_is_its_own_and_every_limit_is_one() -> None:
    assert len({one.name for one in EXAMINATIONS}) == len(EXAMINATIONS)
    assert all(0 < one.limit <= 120 for one in EXAMINATIONS)
