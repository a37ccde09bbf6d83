"""What the models say, and the values that tools are called with."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmauth.demo import words


@pytest.mark.parametrize("count", [0, 1, 24, 500])
def test_tokens_join_to_the_text(count: int) -> None:
    assert len(words.tokens("X", count)) == count
    assert "".join(words.tokens("X", count)) == words.text("X", count)


def test_the_text_has_more_than_ascii() -> None:
    assert "日本" in words.text("X", 40)
    assert "emulated X" in words.text("X", 40)


@pytest.mark.parametrize(("arguments", "count"), [("", 0), ("{}", 1), ('{"a":1,"b":"日本"}', 4)])
def test_pieces_join_to_the_arguments(arguments: str, count: int) -> None:
    found = list(words.pieces(arguments))
    assert "".join(found) == arguments
    assert len(found) == count


@pytest.mark.parametrize("token", ["plain", 'quo"te', "back\\slash", "🙂", "\n"])
def test_a_template_is_the_same_event_with_another_token(token: str) -> None:
    template = words.Template({"a": [{"b": words.Template.HOLE}], "c": 1})
    assert json.loads(template.fill(token)) == {"a": [{"b": token}], "c": 1}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (None, "example"),
        ({"type": "string"}, "example"),
        ({"enum": ["x", "y"]}, "x"),
        ({"type": "array", "items": {"type": "number"}}, [1]),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"type": "object"}, {}),
        ({"type": "object", "properties": {"a": {"type": "integer"}, "b": {}}, "required": ["a"]}, {"a": 1}),
        ({"type": "object", "properties": {"a": {"type": "integer"}}}, {"a": 1}),
    ],
)
def test_example_fits_its_schema(schema: Any, value: Any) -> None:
    assert words.example(schema) == value


def test_json_is_compact_and_readable() -> None:
    assert words.dumps({"a": "é", "b": [1]}) == '{"a":"é","b":[1]}'.encode()


def test_an_estimate_is_never_nothing() -> None:
    assert (words.estimate(b""), words.estimate(b"x" * 400)) == (1, 100)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"const": 3}, 3),
        ({"type": ["null", "integer"], "minimum": 5}, 5),
        ({"anyOf": [{"type": "boolean"}, {"type": "null"}]}, True),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"type": "integer"}}}, 1),
        ({"$ref": "#/unheard/of"}, "example"),
        ({"type": "array", "items": {"type": "string"}, "minItems": 2}, ["example", "example"]),
    ],
)
def test_example_follows_what_a_schema_refers_to(schema: Any, value: Any) -> None:
    assert words.example(schema) == value


def test_a_schema_that_refers_to_itself_comes_to_an_end() -> None:
    assert words.example({"$ref": "#"}) == "example"
    again = {"anyOf": [{"$ref": "#"}, {"type": "null"}]}
    tree = {"type": "object", "properties": dict.fromkeys("abcd", again)}
    assert len(words.dumps(words.example(tree))) < 1_000_000
    node = {"type": "object", "properties": {"next": again, "more": {"type": "array", "items": {"$ref": "#"}}}}
    found = words.example(node)
    while found["next"] is not None:
        found = found["next"]
    assert found == {"next": None, "more": []}


def test_the_strings_of_an_example_may_be_others() -> None:
    assert words.example({"type": "object", "properties": {"a": {}}}, "x") == {"a": "x"}


def test_thoughts_join_to_a_text() -> None:
    assert len(words.thoughts(30)) == 30
    assert "".join(words.thoughts(3)) == "The question is"
