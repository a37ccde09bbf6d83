"""A call's arguments: JSON text in the neutral form, an object in Messages and in Converse."""

from __future__ import annotations

import json
from typing import Any

from llmauth.codecs.reading import Malformed, parse

# Where a model wrote arguments that are no JSON, Anthropic says to "wrap it in a JSON object with a reasonable key";
# `INVALID_JSON` is the key of its own example.
_INVALID = "INVALID_JSON"


def to_input(arguments: str) -> dict[str, Any]:
    """The object that the text is; what is none is wrapped, since a conversation must go on after a model's slip."""
    if not arguments.strip():
        return {}
    try:
        value = parse(arguments)
    except Malformed:
        value = None
    return value if isinstance(value, dict) else {_INVALID: arguments}


def from_input(value: dict[str, Any]) -> str:
    """The text of an object, compact."""
    if len(value) == 1 and isinstance(text := value.get(_INVALID), str):
        return text
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
