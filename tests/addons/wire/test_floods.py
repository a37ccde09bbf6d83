from __future__ import annotations

import pytest
from h2.exceptions import DenialOfServiceError

from addons.wire.floods import ALLOWED, Floods, Kind


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("kind", Kind)
def test_a_burst_is_allowed_and_one_more_is_not(kind: Kind) -> None:
    floods = Floods(Clock())
    for _ in range(ALLOWED[kind][0]):
        floods.count(kind)
    with pytest.raises(DenialOfServiceError, match=kind.value):
        floods.count(kind)


def test_time_allows_more_but_never_more_than_a_burst() -> None:
    clock = Clock()
    floods = Floods(clock)
    burst, rate = ALLOWED[Kind.RESET]
    for _ in range(burst):
        floods.count(Kind.RESET)
    clock.now = 1.0
    for _ in range(int(rate)):
        floods.count(Kind.RESET)
    with pytest.raises(DenialOfServiceError):
        floods.count(Kind.RESET)
    clock.now = 1e6
    for _ in range(burst):
        floods.count(Kind.RESET)
    with pytest.raises(DenialOfServiceError):
        floods.count(Kind.RESET)


def test_kinds_are_counted_apart_and_credit_is_for_one() -> None:
    floods = Floods(Clock())
    for _ in range(ALLOWED[Kind.WINDOW][0]):
        floods.count(Kind.WINDOW)
    floods.count(Kind.PING)
    floods.credit(Kind.WINDOW, 2)
    floods.count(Kind.WINDOW)
    floods.count(Kind.WINDOW)
    with pytest.raises(DenialOfServiceError):
        floods.count(Kind.WINDOW)
