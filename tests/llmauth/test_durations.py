"""Durations as people write them."""

import pytest

from llmauth.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0s", 0), ("2s", 2), ("90m", 5_400), ("12h", 43_200), ("90d", 7_776_000), ("36500d", 3_153_600_000)],
)
def test_seconds(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "90", "d", "-1d", "1.5h", "1 h", "1H", "1w", "1d\n", " 1d", "1h30m", "٣d", "9999999999s"]
)
def test_anything_else_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="such as 90d"):
        parse_duration(text)


def test_a_length_that_no_calendar_holds_is_refused():
    with pytest.raises(ValueError, match="longest is 36500d"):
        parse_duration("36501d")
