"""Lengths of time as people write them: `2s`, `90m`, `12h`, `90d`."""

from __future__ import annotations

import re

_DURATION = re.compile(r"([0-9]{1,9})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_LONGEST = 36_500 * _SECONDS["d"]


def parse_duration(text: str) -> int:
    """Seconds of `<whole number><s|m|h|d>`, at most a hundred years; ValueError with a sentence for anything else."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is not a length of time; write a whole number and s, m, h or d, such as 90d.")
    seconds = int(match[1]) * _SECONDS[match[2]]
    if seconds > _LONGEST:
        raise ValueError(f"{text!r} is too long; the longest is 36500d.")
    return seconds
