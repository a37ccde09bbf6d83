"""A request changed as its instance's operator wants it: parameters that are always sent, and some that never are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from llmauth.chat.messages import ChatRequest
from llmauth.chat.words import Word


@dataclass(frozen=True, slots=True, kw_only=True)
class Transformation:
    """`defaults` are sent where the caller says nothing, `drop` is left out whatever the caller says."""

    defaults: Mapping[Word, Any] = field(default_factory=dict)
    drop: frozenset[Word] = frozenset()


def transformed(request: ChatRequest, by: Transformation) -> tuple[ChatRequest, tuple[str, ...]]:
    """The request as it is to be sent, and the caller's names of what was taken out of it."""
    dropped = tuple(request.named(word) for word in request.parameters if word in by.drop)
    defaults = {word: tuple(value) if isinstance(value, list) else value for word, value in by.defaults.items()}
    parameters = {word: value for word, value in {**defaults, **request.parameters}.items() if word not in by.drop}
    return replace(request, parameters=parameters), dropped
