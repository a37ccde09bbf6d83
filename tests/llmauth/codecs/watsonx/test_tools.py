"""Schemas without what watsonx refuses."""

from llmauth.chat.messages import Choose, Named
from llmauth.codecs.watsonx.tools import choice, plain

INNER = {"type": "object", "additionalProperties": False}
PLAIN = {"type": "object"}


def test_the_keyword_goes_at_every_level():
    schema = {
        **INNER,
        "properties": {"a": INNER, "b": {"type": "array", "items": INNER}, "c": {"anyOf": [INNER, True]}, "d": True},
        "$defs": {"e": {"additionalProperties": {"type": "string"}}},
        "if": INNER,
        "prefixItems": [INNER],
    }
    assert plain(schema) == {
        **PLAIN,
        "properties": {"a": PLAIN, "b": {"type": "array", "items": PLAIN}, "c": {"anyOf": [PLAIN, True]}, "d": True},
        "$defs": {"e": {}},
        "if": PLAIN,
        "prefixItems": [PLAIN],
    }


def test_a_name_of_the_clients_and_a_value_stay():
    schema = {"properties": {"additionalProperties": {"const": INNER}, "properties": {"enum": [INNER]}}}
    assert plain(schema) == schema


def test_a_schema_that_is_odd_is_left_as_it_is():
    schema = {"properties": ["a"], "anyOf": 5, "items": "x"}
    assert plain(schema) == schema


def test_a_word_and_a_name_stand_in_two_members():
    assert choice(Choose.REQUIRED) == {"tool_choice_option": "required"}
    assert choice(Named("f")) == {"tool_choice": {"type": "function", "function": {"name": "f"}}}
