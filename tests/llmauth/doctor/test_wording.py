"""Lengths of time and fingerprints, for people."""

from __future__ import annotations

import pytest

from llmauth.doctor.wording import short, span


@pytest.mark.parametrize(
    ("seconds", "said"), [(-3, "0 s"), (59.9, "59 s"), (3599, "59 min"), (11_520, "3 h 12 min"), (864_000, "10 d")]
)
def test_a_span_is_written_in_its_largest_units(seconds: float, said: str) -> None:
    assert span(seconds) == said


def test_a_fingerprint_keeps_both_of_its_ends() -> None:
    assert short("4F:1A:02:03:04:05:06:9C") == "4F:1A:02:03:…:06:9C"
    assert short("00:11") == "00:11"
