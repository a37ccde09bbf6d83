"""The periods of budgets, in UTC."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmauth.governance.periods import span_of


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("per", "moment", "began", "ends"),
    [
        ("hour", "2026-11-26T22:59:59", "2026-11-26T22:00", "2026-11-26T23:00"),
        ("day", "2026-11-26T22:59:59", "2026-11-26", "2026-11-27"),
        ("week", "2026-11-26T12:00", "2026-11-23", "2026-11-30"),  # a Thursday
        ("week", "2026-11-23T00:00", "2026-11-23", "2026-11-30"),
        ("week", "2026-11-22T23:59:59", "2026-11-16", "2026-11-23"),
        ("month", "2026-12-31T23:59:59", "2026-12-01", "2027-01-01"),
        ("month", "2028-02-29T12:00", "2028-02-01", "2028-03-01"),
    ],
)
def test_periods_of_the_calendar(per, moment, began, ends):
    assert span_of(per, at(moment)) == (at(began), at(ends))


@given(st.integers(0, 4_000_000_000), st.sampled_from(["hour", "day", "week", "month"]))
def test_every_moment_is_in_its_period_and_periods_follow_each_other(moment, per):
    began, ends = span_of(per, moment)
    assert began <= moment < ends
    assert span_of(per, ends).began == ends
    assert span_of(per, began - 1).ends == began
