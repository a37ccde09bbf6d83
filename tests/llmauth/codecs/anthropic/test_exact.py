"""Which schemas for answers OpenAI takes as strict ones."""

import pytest

from llmauth.codecs.anthropic.exact import exact
from tests.golden.cases import PERSON

CLOSED = {"type": "object", "additionalProperties": False}


def holding(schema):
    return {**CLOSED, "properties": {"a": schema}, "required": ["a"]}


@pytest.mark.parametrize(
    "schema",
    [
        PERSON,
        CLOSED,
        holding({"type": ["string", "null"]}),
        holding({"anyOf": [{"enum": ["x"]}, {"type": "null"}]}),
        holding({"type": "array", "items": PERSON}),
        {**holding({"$ref": "#/$defs/a"}), "$defs": {"a": PERSON}},
    ],
)
def test_what_is_closed_and_complete_is_exact(schema):
    assert exact(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "array", "items": PERSON},
        {"type": "object"},
        {**PERSON, "required": ["name"]},
        {**PERSON, "required": None},
        {**PERSON, "additionalProperties": True},
        {**PERSON, "properties": []},
        {**CLOSED, "anyOf": [PERSON]},
        holding({"type": "object"}),
        holding({"properties": {"b": {}}}),
        holding({"type": "array", "items": {"type": "object"}}),
        holding({"anyOf": [{"type": "object"}]}),
        holding({"anyOf": {}}),
        holding({"allOf": [PERSON]}),
        holding({"type": "string", "default": ""}),
        holding({"$ref": "#/$defs/a", "description": "A."}),
        holding(True),
        {**PERSON, "$defs": {"a": {"type": "object"}}},
    ],
)
def test_what_openai_would_refuse_as_strict_is_not(schema):
    assert not exact(schema)
