"""What a caller may do, as the proxy tells it of itself, in the words of a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_KINDS = (("instances", "instances"), ("protocols", "protocols"), ("hosts", "hosts"), ("methods", "by"))
_NUMBERS = (("rpm", "requests/min"), ("tpm", "tokens/min"), ("concurrent", "at a time"))


def in_words(allowed: object) -> str:
    """`claude-*, gpt-5*, 60 requests/min, budget 40/day`; empty for a proxy that does not tell."""
    if not isinstance(allowed, Mapping):
        return ""
    return ", ".join([_models(allowed.get("models")), *_limits(allowed)])


def plain(text: object) -> str:
    """As it may be written to a terminal."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in str(text))


def _models(models: object) -> str:
    if not isinstance(models, list) or "*" in models:
        return "all models"
    return ", ".join(map(plain, models)) or "no model"


def _limits(allowed: Mapping[str, Any]) -> Iterable[str]:
    for name, word in _KINDS:
        entries = allowed.get(name)
        if isinstance(entries, list):
            yield f"{word} {' '.join(map(plain, entries)) or 'none'}"
    for name, unit in _NUMBERS:
        number = allowed.get(name)
        if isinstance(number, int) and not isinstance(number, bool):
            yield f"{number} {unit}"
    budget = allowed.get("budget")
    if isinstance(budget, Mapping):
        yield f"budget {plain(budget.get('amount'))}/{plain(budget.get('per'))}"
