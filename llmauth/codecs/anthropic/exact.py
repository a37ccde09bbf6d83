"""Whether a schema for answers may be held to by others as strictly as Anthropic holds to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# What OpenAI knows in a strict schema, of what Anthropic knows: a strict one with another member is refused there.
_KNOWN = frozenset(
    {
        *("type", "properties", "required", "additionalProperties", "items", "anyOf", "enum", "const"),
        *("description", "title", "$ref", "$defs", "definitions"),
    }
)


def exact(schema: Mapping[str, Any]) -> bool:
    """Anthropic holds to every schema; OpenAI to those that are strict, in which "all fields must be `required`" and
    "`additionalProperties: false` must always be set in objects".
    """
    return schema.get("type") == "object" and "anyOf" not in schema and _exact(schema)


def _exact(schema: Any) -> bool:
    if not isinstance(schema, Mapping) or not schema.keys() <= _KNOWN:
        return False
    if "$ref" in schema:
        return schema.keys() <= {"$ref", "$defs", "definitions"}
    return _closed(schema) and all(map(_exact, _inner(schema)))


def _closed(schema: Mapping[str, Any]) -> bool:
    if schema.get("type") != "object" and "properties" not in schema:
        return True
    names, required = schema.get("properties", {}), schema.get("required", [])
    told = isinstance(names, Mapping) and isinstance(required, list)
    return told and schema.get("additionalProperties") is False and all(name in required for name in names)


def _inner(schema: Mapping[str, Any]) -> list[Any]:
    named = [schema[place] for place in ("properties", "$defs", "definitions") if place in schema]
    found = [inner for names in named for inner in (names.values() if isinstance(names, Mapping) else [None])]
    choices = schema.get("anyOf", [])
    found += choices if isinstance(choices, list) else [None]
    return [*found, schema["items"]] if "items" in schema else found
