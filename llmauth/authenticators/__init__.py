"""The ways in which clients prove who they are: one file a method, and one line in this table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from pydantic import BaseModel

from llmauth.authenticators.keys import ApiKeyOptions

METHODS: Mapping[str, type[BaseModel]] = {"api_key": ApiKeyOptions}


def require_methods(names: Iterable[str]) -> tuple[str, ...]:
    """The names, each once and all known. ValueError for an unknown one and for none at all.

    Whoever mistypes a method must not run without authentication.
    """
    wanted = tuple(dict.fromkeys(names))
    if not wanted:
        raise ValueError(f"auth.methods names no method. Known: {', '.join(METHODS)}.")
    for name in wanted:
        if name not in METHODS:
            raise ValueError(_unknown(name))
    return wanted


def _unknown(name: str) -> str:
    near = get_close_matches(name.lower().replace("-", "_"), METHODS, n=1)
    tail = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(METHODS)}."
    return f"Unknown authentication method {name[:40]!r}, {tail}"
