from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

from llmauth.hindsight.remembered import Remembered

# Values that hold a request's own fields, a body, or a secret; and whatever could hold anything.
FORBIDDEN = ("Headers", "Request", "Response", "Secret", "Credential", "Leased", "RequestContext", "TransparentRoute")


def named(kind: Any) -> Iterator[str]:
    yield getattr(kind, "__name__", str(kind))
    for one in get_args(kind):
        yield from named(one)
    if isinstance(kind, type) and not isinstance(kind, types.GenericAlias) and hasattr(kind, "_fields"):
        for one in get_type_hints(kind).values():
            yield from named(one)


def test_nothing_that_is_remembered_could_hold_a_secret_or_a_body() -> None:
    names = set(named(Remembered))
    assert {"Head", "Lent", "Identity", "frozenset"} <= names  # the walk goes down
    assert names.isdisjoint(FORBIDDEN)
    assert "Any" not in names
    assert "object" not in names
