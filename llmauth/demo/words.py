"""What an emulated model says: the same sentence every time, token by token, as long as it is asked to be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

_SENTENCE = (
    "Hello from the emulated {speaker} : it checked the credential first , read every byte of the question , "
    "and answers in small pieces – café , naïve , 日本 , 🙂 – just as the real one does ."
)
_HOLE = "\x00hole\x00"
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


@lru_cache(maxsize=256)
def tokens(speaker: str, count: int) -> tuple[str, ...]:
    """`count` tokens; each but the first starts with its blank, so that joining them gives the text."""
    words = _SENTENCE.format(speaker=speaker).split(" ")
    return tuple(words[i % len(words)] if i == 0 else " " + words[i % len(words)] for i in range(count))


def text(speaker: str, count: int) -> str:
    """The same as one string."""
    return "".join(tokens(speaker, count))


def dumps(value: object) -> bytes:
    """Compact JSON in UTF-8."""
    return _ENCODER.encode(value).encode()


@lru_cache(maxsize=1024)
def quoted(token: str) -> bytes:
    """A token as a JSON string."""
    return dumps(token)


def pieces(arguments: str) -> Iterator[str]:
    """The JSON of a tool's arguments as a model streams it: in pieces that are no JSON of their own."""
    return (arguments[start : start + 4] for start in range(0, len(arguments), 4))


class Template:
    """A JSON event that is the same for every token but for one string; a stream renders it once."""

    HOLE = _HOLE

    def __init__(self, event: object) -> None:
        self._before, self._after = dumps(event).split(dumps(_HOLE))

    def fill(self, token: str) -> bytes:
        """The event with `token` where HOLE stood."""
        return self._before + quoted(token) + self._after


def example(schema: Any) -> Any:
    """A value that a JSON schema accepts, for the arguments of a tool call."""
    if not isinstance(schema, dict):
        return "example"
    if schema.get("enum"):
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            properties = schema.get("properties") or {}
            return {name: example(properties.get(name)) for name in schema.get("required") or properties}
        case "array":
            return [example(schema.get("items"))]
        case "integer" | "number":
            return 1
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return "example"


def estimate(body: bytes) -> int:
    """About how many tokens a request holds; any number would do, as long as both ends of a test see the same."""
    return max(1, len(body) // 4)
