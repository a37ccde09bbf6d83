"""Schemas of tools as Nova takes them: three members at the top, and no reference to a fourth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmauth.chat.words import Word
from llmauth.errors import UnsupportedParameter

# "Only three fields are supported in top-level Object"; others are refused: "extraneous key [definitions] is not
# permitted".
_TOP = ("type", "properties", "required")
# Members that hold schemas by names of the client's, and those that hold values of the client's.
_BY_NAME = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_VALUES = frozenset({"enum", "const", "default", "examples"})
# A few definitions that refer to each other can stand for more than a memory holds.
_MOST_REFERENCES = 500
_DEEPEST = 100


def for_nova(schema: Mapping[str, Any]) -> dict[str, Any]:
    """What is left are the arguments, with every reference in them replaced by what it names.

    UnsupportedParameter where that is too much to write out.
    """
    whole = _Whole(schema)
    return {"type": "object", **whole.members(whole.top())}


class _Whole:
    """A schema that parts of it refer to."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        self._references = 0

    def top(self) -> dict[str, Any]:
        """The members that may stand at the top; a schema may be a reference itself."""
        reference = self._schema.get("$ref")
        named = self._named(reference, ()) if isinstance(reference, str) else {}
        both = {**named, **self._schema}
        return {name: both[name] for name in _TOP if name in both}

    def members(self, schema: Mapping[str, Any], within: tuple[str, ...] = (), depth: int = 0) -> dict[str, Any]:
        """The members of one schema, written out."""
        return {name: self._member(name, value, within, depth + 1) for name, value in schema.items()}

    def _member(self, name: str, value: Any, within: tuple[str, ...], depth: int) -> Any:
        if name in _VALUES:
            return value
        if name in _BY_NAME and isinstance(value, Mapping):
            return {own: self._written(inner, within, depth + 1) for own, inner in value.items()}
        return self._written(value, within, depth)

    def _written(self, value: Any, within: tuple[str, ...], depth: int) -> Any:
        """A part without references; `within` are those that it stands in."""
        if depth > _DEEPEST:
            raise _too_much()
        if isinstance(value, list):
            return [self._written(inner, within, depth + 1) for inner in value]
        if not isinstance(value, Mapping):
            return value
        reference = value.get("$ref")
        if isinstance(reference, str):
            rest = {name: inner for name, inner in value.items() if name != "$ref"}
            return self._written({**self._named(reference, within), **rest}, (*within, reference), depth + 1)
        return self.members(value, within, depth)

    def _named(self, reference: str, within: tuple[str, ...]) -> Mapping[str, Any]:
        """What a reference names; one that leads back into itself, or elsewhere, allows anything."""
        self._references += 1
        if self._references > _MOST_REFERENCES:
            raise _too_much()
        found: Any = self._schema if reference.startswith("#") and reference not in within else {}
        for step in reference.split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, Mapping) else None
        return found if isinstance(found, Mapping) else {}


def _too_much() -> UnsupportedParameter:
    return UnsupportedParameter(
        "The schema of a tool refers to its own definitions more often than Nova, which takes none, can be told.",
        hint="Make the schema simpler, or ask for another model.",
        param=Word.TOOLS.value,
    )
