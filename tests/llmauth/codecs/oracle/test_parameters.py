"""Schemas as Cohere's parameter definitions, and those that they cannot hold."""

import pytest

from llmauth.codecs.oracle.parameters import Nested, definitions


def told(kind: str, words: str) -> dict:
    return {"type": kind, "description": words}


@pytest.mark.parametrize(
    ("schema", "definition"),
    [
        ({"type": "string"}, {"type": "str"}),
        ({"type": "integer", "description": "How many."}, told("int", "How many.")),
        ({"type": "number"}, {"type": "float"}),
        ({"type": "boolean"}, {"type": "bool"}),
        ({"type": "array"}, {"type": "list"}),
        ({"type": "object", "additionalProperties": False}, {"type": "dict"}),
        ({"type": ["string", "null"], "title": "City"}, {"type": "str"}),
        (
            {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": 3},
            told("int", 'JSON Schema: {"default": 3}'),
        ),
        (
            {"type": "string", "enum": ["a"], "description": "Which."},
            told("str", 'Which. JSON Schema: {"enum": ["a"]}'),
        ),
        (
            {"type": "array", "items": {"type": "string"}},
            told("list", 'JSON Schema: {"items": {"type": "string"}}'),
        ),
        ({}, {"type": "str"}),
        (True, {"type": "str"}),
    ],
)
def test_one_level(schema, definition):
    found = definitions({"type": "object", "properties": {"p": schema}, "required": ["p"]})
    assert found == {"p": {**definition, "isRequired": True}}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"q": {"type": "string"}}},
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"type": "array", "items": {"type": "object", "properties": {}}},
        {"$ref": "#/$defs/a"},
        {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        {"type": ["string", "integer"]},
        {"type": "null"},
        {"type": 5},
    ],
)
def test_more_levels(schema):
    with pytest.raises(Nested, match=r"^p$"):
        definitions({"properties": {"p": schema}})


def test_a_schema_that_is_an_alternative_itself():
    with pytest.raises(Nested, match=r"^$"):
        definitions({"anyOf": [{"properties": {}}]})
    with pytest.raises(Nested):
        definitions({"properties": 5})


def test_no_parameters():
    assert definitions({}) == {}
    assert definitions({"properties": {"p": {}}, "required": "p"}) == {"p": {"type": "str", "isRequired": False}}
