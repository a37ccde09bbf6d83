"""The words: what may be shown of a value, and what is suggested."""

from typing import Any

import pytest

from llmauth.config import wording
from llmauth.config.expansion import Expansion
from llmauth.config.problems import Place
from llmauth.config.tree import Node
from llmauth.secrets import Secret

PLACE = Place(source="f", line=1)


def node(value: Any, *names: str, default: bool = False) -> Node:
    expansions = tuple(Expansion(name=name, value=Secret("canary"), from_default=default) for name in names)
    if isinstance(value, dict):
        value = {key: node(entry) for key, entry in value.items()}
    return Node(value=value, place=PLACE, expansions=expansions)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "nothing"),
        (True, "true"),
        (8080, "8080"),
        ("word", "'word'"),
        ({}, "a mapping"),
        ([], "an empty list"),
        ("x" * 100, f"'{'x' * 57}...'"),
        ("a\x1b[1m", "'a\\x1b[1m'"),
        ("arn:aws:iam::111122223333:role/bedrock", "'arn:aws:iam::111122223333:role/bedrock'"),
    ],
)
def test_what_stands_in_the_file_is_shown(value, shown):
    assert wording.found(node(value), "region") == shown


def test_what_was_expanded_is_named_and_not_shown():
    """R2."""
    assert wording.found(node("canary", "A", "B"), "region") == "the value of ${A} and the value of ${B}"
    assert wording.found(node("canary", "A", default=True), "region") == "the default of ${A}"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("password", "x"),
        ("client_secret", "x"),
        ("secret_id", "x"),
        ("api_key", "x"),
        ("region", "sk-abc"),
        ("region", "AKIAIOSFODNN7EXAMPLE"),
        ("region", "llmauth_k3f9_x"),
        ("region", "eyJhbGciOi"),
        ("base_url", "http://user:pass@host/"),
        ("region", "a1" * 12),
    ],
)
def test_what_may_be_a_secret_is_not_shown(key, value):
    assert wording.found(node(value), key) == "a value (not shown)"


@pytest.mark.parametrize("key", ["secret_name", "token_file", "key_url"])
def test_the_name_of_a_secret_is_none(key):
    assert wording.found(node("bedrock"), key) == "'bedrock'"


def test_unknown_keys_get_a_suggestion_or_the_list():
    assert wording.unknown_key("regoin", ["type", "region"]) == "unknown key, did you mean 'region'?"
    assert wording.unknown_key("zzz", ["type", "region"]) == "unknown key; known here: type, region"
    assert wording.unknown_key("zzz", []) == "unknown key"


def test_choices_are_listed_in_a_sentence():
    assert wording.wanted("literal_error", {"expected": "'a', 'b' or 'c'"}) == "'a', 'b' or 'c'"
    assert wording.wanted("union_tag_invalid", {"expected_tags": "'a', 'b'"}) == "'a' or 'b'"
    assert wording.wanted("choice", {"expected": "'a'"}) == "'a'"
    assert wording.wanted("value_error", {}) is None


@pytest.mark.parametrize("text", ["canary is bad", "CANARY is bad", "'canary' is bad", "xcanaryx"])
def test_a_validators_own_sentence_loses_the_value(text):
    """R2."""
    assert "canary" not in wording.without_values(text, node("canary", "V"), "x").lower()


def test_short_values_are_replaced_as_words_only():
    expansion = Expansion(name="V", value=Secret("a"))
    leaf = Node(value="a", place=PLACE, expansions=(expansion,))
    assert wording.without_values("'a' has a bad letter", leaf, "x") == "'the value' has the value bad letter"


def test_values_below_are_replaced_too():
    assert wording.without_values("got sk-123", node({"deep": "sk-123"}), "x") == "got the value"
