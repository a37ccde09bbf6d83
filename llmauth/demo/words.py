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
_THOUGHT = "The question is plain , and I know what to do , so I need not think for long ."
_HOLE = "\x00hole\x00"
_DEEPEST = 32  # levels of a schema, which may refer to itself
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


@lru_cache(maxsize=256)
def tokens(speaker: str, count: int) -> tuple[str, ...]:
    """`count` tokens; each but the first starts with its blank, so that joining them gives the text."""
    words = _SENTENCE.format(speaker=speaker).split(" ")
    return tuple(words[i % len(words)] if i == 0 else " " + words[i % len(words)] for i in range(count))


def text(speaker: str, count: int) -> str:
    """The same as one string."""
    return "".join(tokens(speaker, count))


def thoughts(count: int) -> tuple[str, ...]:
    """`count` tokens of what a model thinks, which join to the text as those of `tokens` do."""
    said = _THOUGHT.split(" ")
    return tuple(said[i % len(said)] if i == 0 else " " + said[i % len(said)] for i in range(count))


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


def example(schema: Any, word: str = "example") -> Any:
    """A value that a JSON schema accepts, such as the arguments of a tool call; its strings are `word`."""
    return _example(schema, word, schema, 0)


def _example(schema: Any, word: str, root: Any, depth: int) -> Any:
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return word
    chosen = _chosen(schema, root)
    if chosen is not None:
        return _example(chosen, word, root, depth + 1)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    return _of_type(schema, word, root, depth + 1)


def _chosen(schema: dict[str, Any], root: Any) -> Any:
    """The schema that stands for this one: what it refers to, or the first of several."""
    if isinstance(reference := schema.get("$ref"), str):
        found = root
        for step in reference.removeprefix("#").split("/")[1:]:
            found = found.get(step, {}) if isinstance(found, dict) else {}
        return found
    several = next((schema[name] for name in ("anyOf", "oneOf", "allOf") if schema.get(name)), None)
    return several[0] if isinstance(several, list) else None


def _of_type(schema: dict[str, Any], word: str, root: Any, depth: int) -> Any:
    kind = schema.get("type")
    match next((one for one in kind if one != "null"), "null") if isinstance(kind, list) else kind:
        case "object":
            properties = schema.get("properties") or {}
            names = schema.get("required") or properties
            return {name: _example(properties.get(name), word, root, depth) for name in names}
        case "array":
            return [_example(schema.get("items"), word, root, depth)] * (schema.get("minItems") or 1)
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return word


def estimate(body: bytes) -> int:
    """About how many tokens a request holds; any number would do, as long as both ends of a test see the same."""
    return max(1, len(body) // 4)
