"""JSON Schemas of tools as COHERE's parameter definitions: one level, with types by their names in Python."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_TYPES = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "array": "list",
    "object": "dict",
}
_NESTING = ("properties", "$ref", "anyOf", "oneOf", "allOf", "not", "if", "patternProperties", "prefixItems")
_TOLD = ("type", "description", "title", "additionalProperties", "$schema")


class Nested(Exception):
    """A schema says more than parameter definitions can; the text is the parameter's name."""


def definitions(schema: Mapping[str, Any]) -> dict[str, Any]:
    """`{name: {type, description, isRequired}}`; Nested for what has levels below."""
    properties = schema.get("properties") or {}
    if any(word in schema for word in _NESTING[1:]) or not isinstance(properties, Mapping):
        raise Nested("")
    listed = schema.get("required")
    required = listed if isinstance(listed, list) else []
    return {name: _definition(name, one, name in required) for name, one in properties.items()}


def _definition(name: str, schema: Any, required: bool) -> dict[str, Any]:
    schema = _without_null(schema) if isinstance(schema, Mapping) else {}
    if _nested(schema) or _nested(schema.get("items")):
        raise Nested(name)
    told: dict[str, Any] = {"type": _type(name, schema)}
    if description := _description(schema):
        told["description"] = description
    return {**told, "isRequired": required}


def _nested(schema: Any) -> bool:
    return isinstance(schema, Mapping) and (
        any(word in schema for word in _NESTING) or isinstance(schema.get("additionalProperties"), Mapping)
    )


def _type(name: str, schema: Mapping[str, Any]) -> str:
    kind = schema.get("type", "string")
    if isinstance(kind, list):
        kinds = [one for one in kind if one != "null"]
        kind = kinds[0] if len(kinds) == 1 else None
    if not isinstance(kind, str) or kind not in _TYPES:
        raise Nested(name)
    return _TYPES[kind]


def _without_null(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """How schemas that are made from types write what may be left out: one alternative, and null."""
    any_of = schema.get("anyOf")
    kinds = [one for one in any_of if one != {"type": "null"}] if isinstance(any_of, list) else []
    if len(kinds) != 1 or not isinstance(kinds[0], Mapping):
        return schema
    return {**{name: value for name, value in schema.items() if name != "anyOf"}, **kinds[0]}


def _description(schema: Mapping[str, Any]) -> str:
    """What definitions have no member for (`enum`, `minimum`, `items`) is told to the model in words."""
    more = {name: value for name, value in schema.items() if name not in _TOLD}
    parts = [str(schema.get("description") or ""), f"JSON Schema: {json.dumps(more)}" if more else ""]
    return " ".join(part for part in parts if part)
