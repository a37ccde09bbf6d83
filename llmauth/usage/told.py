"""What an answer told of its tokens, piece by piece, and the sum of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from llmauth.chat.messages import Usage

Counts = dict[str, int]
"""Fields of `Usage` that were told; what is absent was not."""

# No model's window comes near; a number beyond it is no count, and would be one for ever in a counter.
MOST = 2**40


class Told(NamedTuple):
    """What one event or body tells. A stream tells more later unless it is `final`; `beside` gives way to the rest."""

    counts: Counts
    final: bool = True
    beside: bool = False


def count(value: Any, *names: str) -> int | None:
    """The first of these members that is a count; `None` where none is, or where `value` is no object."""
    if not isinstance(value, dict):
        return None
    for name in names:
        found = value.get(name)
        if isinstance(found, float) and found.is_integer():
            found = int(found)
        if isinstance(found, int) and not isinstance(found, bool) and 0 <= found <= MOST:
            return found
    return None


def member(value: Any, name: str) -> Any:
    """A member, `None` where it is absent or `value` is no object."""
    return value.get(name) if isinstance(value, dict) else None


def counts(value: Any, names: Mapping[str, str]) -> Counts:
    """Those fields of `Usage` whose member, named by the second of each pair, is a count."""
    found = {}
    for field, name in names.items():
        number = count(value, name)
        if number is not None:
            found[field] = number
    return found


def disjoint(prompt: int | None, cached: int | None, written: int | None) -> Counts:
    """The prompt of a provider that counts cached tokens inside it, told apart; empty where it tells none."""
    if prompt is None:
        return {}
    cached = min(cached or 0, prompt)
    written = min(written or 0, prompt - cached)
    return {"input": prompt - cached - written, "cache_read": cached, "cache_write": written}


def folded(pieces: Iterable[Told]) -> tuple[Usage | None, bool]:
    """The sum, of which later pieces tell more than earlier ones, and whether all is told."""
    base: Counts = {}
    told: Counts = {}
    final = False
    for piece in pieces:
        (base if piece.beside else told).update(piece.counts)
        final = final or piece.final
    told = {**base, **told}
    return (Usage(**told) if told else None), final
