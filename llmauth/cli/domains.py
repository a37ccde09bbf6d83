"""The names that a certificate authority may sign, as people read them: the best known first, and not all."""

from __future__ import annotations

from collections.abc import Sequence

_FIRST = ("api.openai.com", "api.anthropic.com", "amazonaws.com")
_SHOWN = 3


def in_words(domains: Sequence[str]) -> str:
    """`api.openai.com, api.anthropic.com, amazonaws.com and 38 more`."""
    ordered = [*(name for name in _FIRST if name in domains), *(name for name in domains if name not in _FIRST)]
    shown = ", ".join("".join(one if one.isprintable() else "?" for one in name) for name in ordered[:_SHOWN])
    return shown if len(ordered) <= _SHOWN else f"{shown} and {len(ordered) - _SHOWN} more"
