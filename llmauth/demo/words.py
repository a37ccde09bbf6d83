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
_DEEPEST = 6  # references of a schema that are followed one in the other
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
    """`depth` is how many references led here: a schema may refer to itself."""
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return word
    if isinstance(reference := schema.get("$ref"), str):
        return _example(_referred(reference, root), word, root, depth + 1)
    if several := next((schema[name] for name in ("anyOf", "oneOf", "allOf") if schema.get(name)), None):
        return _example(_chosen(several, depth), word, root, depth)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    return _of_type(schema, word, root, depth)


def _referred(reference: str, root: Any) -> Any:
    found = root
    for step in reference.removeprefix("#").split("/")[1:]:
        found = found.get(step, {}) if isinstance(found, dict) else {}
    return found


def _chosen(several: list[Any], depth: int) -> Any:
    """The first of several schemas; null, where deep inside one of them takes it."""
    nothing = {"type": "null"}
    return nothing if depth >= _DEEPEST and nothing in several else several[0]


def _of_type(schema: dict[str, Any], word: str, root: Any, depth: int) -> Any:
    kind = schema.get("type")
    match next((one for one in kind if one != "null"), "null") if isinstance(kind, list) else kind:
        case "object":
            properties = schema.get("properties") or {}
            names = schema.get("required") or properties
            return {name: _example(properties.get(name), word, root, depth) for name in names}
        case "array":
            count = schema.get("minItems") or int(depth < _DEEPEST)
            return [_example(schema.get("items"), word, root, depth)] * count
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
