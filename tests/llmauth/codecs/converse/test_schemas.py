"""Schemas for Nova: three members at the top, and every reference written out."""

import pytest

from llmauth.codecs.converse.schemas import for_nova
from llmauth.errors import UnsupportedParameter

DAY = {"type": "string", "format": "date"}


def of(**properties):
    return {"type": "object", "properties": properties}


def test_what_nova_knows_stays_and_the_rest_goes():
    told = {"type": "object", "properties": {"a": {"type": "string", "title": "A"}}, "required": ["a"]}
    assert for_nova({**told, "additionalProperties": False, "$schema": "x", "title": "T", "description": "D"}) == told


@pytest.mark.parametrize("schema", [{}, {"$ref": "#"}, {"anyOf": [{}]}])
def test_a_schema_that_says_nothing_is_of_an_object(schema):
    assert for_nova(schema) == {"type": "object"}


@pytest.mark.parametrize("place", ["$defs", "definitions"])
def test_what_a_reference_names_stands_in_its_place(place):
    schema = {
        **of(a={"items": {"$ref": f"#/{place}/day"}}, b={"$ref": f"#/{place}/day", "title": "B"}),
        place: {"day": DAY},
    }
    assert for_nova(schema) == of(a={"items": DAY}, b={**DAY, "title": "B"})


def test_a_reference_of_a_reference_and_one_at_the_top():
    schema = {
        "$ref": "#/$defs/whole",
        "$defs": {"whole": of(a={"$ref": "#/$defs/x"}), "x": {"$ref": "#/$defs/day"}, "day": DAY},
    }
    assert for_nova(schema) == of(a=DAY)


def test_names_are_read_as_pointers_say():
    schema = {**of(a={"$ref": "#/$defs/a~1b~0c"}), "$defs": {"a/b~c": DAY}}
    assert for_nova(schema) == of(a=DAY)


def test_names_and_values_of_the_client_stay_what_they_are():
    mine = {"$ref": "#/$defs/day"}
    schema = {
        **of(default={"$ref": "#/$defs/day"}, a={"enum": [mine], "default": mine, "const": mine}),
        "$defs": {"day": DAY},
    }
    assert for_nova(schema) == of(default=DAY, a={"enum": [mine], "default": mine, "const": mine})


@pytest.mark.parametrize("reference", ["#/$defs/none", "#/$defs/day/type/x", "https://example.com/schema", "day"])
def test_a_reference_to_nothing_allows_anything(reference):
    assert for_nova({**of(a={"$ref": reference}), "$defs": {"day": DAY}}) == of(a={})


def test_what_holds_itself_is_written_once():
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}
    once = {"type": "object", "properties": {"next": {}}}
    assert for_nova({**of(a={"$ref": "#/$defs/node"}), "$defs": {"node": node}}) == of(a=once)


def test_definitions_that_multiply_are_refused():
    pairs = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)}
    with pytest.raises(UnsupportedParameter, match="more often than Nova"):
        for_nova({**of(a={"$ref": "#/$defs/d0"}), "$defs": pairs})


def test_what_lies_too_deep_is_refused():
    deep = {f"d{n}": {"items": {"items": {"$ref": f"#/$defs/d{n + 1}"}}} for n in range(90)}
    with pytest.raises(UnsupportedParameter):
        for_nova({**of(a={"$ref": "#/$defs/d0"}), "$defs": deep})
