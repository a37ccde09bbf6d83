"""Tools as watsonx takes them: schemas without `additionalProperties`, and a choice in one of two members."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from llmauth.chat.messages import Choose, Named, Tool
from llmauth.codecs.openai.rendering import render_tool, render_tool_choice

_REFUSED = "additionalProperties"
# Members of a schema that hold schemas by names of the client's own, schemas in a list, and one schema.
_BY_NAME = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_LISTS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_ONE = frozenset({"items", "not", "if", "then", "else", "contains", "propertyNames"})


def tool(given: Tool) -> dict[str, Any]:
    """One of `tools`."""
    return render_tool(replace(given, schema=plain(given.schema), cache=None), strict=False)


def choice(given: Choose | Named) -> dict[str, Any]:
    """`tool_choice` where a function is named, `tool_choice_option` for a word: the two exclude each other."""
    return {"tool_choice" if isinstance(given, Named) else "tool_choice_option": render_tool_choice(given)}


def plain(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema without what watsonx refuses, at every level where it is a keyword and no name of the client's."""
    return {name: _member(name, value) for name, value in schema.items() if name != _REFUSED}


def _member(name: str, value: Any) -> Any:
    if name in _BY_NAME and isinstance(value, Mapping):
        return {own: _schema(inner) for own, inner in value.items()}
    if name in _LISTS and isinstance(value, list):
        return [_schema(inner) for inner in value]
    return _schema(value) if name in _ONE else value


def _schema(value: Any) -> Any:
    return plain(value) if isinstance(value, Mapping) else value
