"""JSON of others: what is refused as a whole, and members by their type and place."""

import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmauth.codecs.reading import MAX_DEPTH, Malformed, Node, parse, parse_fast, tellable, text_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@given(JSON)
def test_what_is_written_is_read(value):
    assert parse(json.dumps(value)) == parse_fast(json.dumps(value)) == value
    assert parse(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")) == value


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b'{"a": 1,}', "not valid JSON"),
        (b"{'a': 1}", "not valid JSON"),
        (b'{"a": 1} {}', "not valid JSON"),
        (b'"\xff"', "not valid UTF-8"),
        (b'{"a": NaN}', "NaN is no JSON value"),
        (b"[Infinity]", "Infinity is no JSON value"),
        (b"[-Infinity]", "-Infinity is no JSON value"),
        (b"[1e999]", "too large"),
        (b"[-1e999]", "too large"),
        (b"9" * 5000, "too"),
        (b'{"a": 1, "b": 2, "a": 3}', "'a' stands twice"),
        (b'[{"x": {"a": 1, "\\u0061": 3}}]', "'a' stands twice"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[" * (MAX_DEPTH + 1) + b"1" + b"]" * (MAX_DEPTH + 1), "100 levels"),
        (b'{"a":' * 101 + b"1" + b"}" * 101, "100 levels"),
    ],
    ids=range(17),
)
def test_what_is_refused_as_a_whole(body, said):
    with pytest.raises(Malformed, match=said) as caught:
        parse(body)
    assert len(str(caught.value)) < 150


def test_as_deep_as_is_allowed():
    assert parse(b"[" * MAX_DEPTH + b"1" + b"]" * MAX_DEPTH)
    assert parse(b'{"a":' * 99 + b"[1]" + b"}" * 99)


@pytest.mark.parametrize("body", [b"", b"{", b'"\xff"', b"9" * 5000, b"[" * 100_000], ids=range(5))
def test_what_a_provider_may_not_write_either(body):
    with pytest.raises(Malformed):
        parse_fast(body)


def test_a_provider_may_say_a_thing_twice():
    assert parse_fast(b'{"a": 1, "a": 2}') == {"a": 2}


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40) | st.text(st.characters(codec=None), max_size=40))
def test_any_bytes_are_read_or_malformed(body):
    for reader in (parse, parse_fast):
        with suppress(Malformed):
            reader(body)


BODY = {
    "object": {"inner": [{"text": "a"}, 5]},
    "list": [1, "b"],
    "text": "t",
    "flag": True,
    "whole": 3,
    "float": 2.5,
    "round": 4.0,
    "null": None,
}


def node(name):
    return Node(BODY).need(name)


@pytest.mark.parametrize(
    ("name", "getter", "value"),
    [
        ("object", Node.object, BODY["object"]),
        ("text", Node.text, "t"),
        ("flag", Node.flag, True),
        ("whole", Node.integer, 3),
        ("round", Node.integer, 4),
        ("whole", Node.number, 3),
        ("float", Node.number, 2.5),
    ],
)
def test_values_by_their_type(name, getter, value):
    found = getter(node(name))
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("name", "getter", "wanted"),
    [
        ("list", Node.object, "an object, found a list"),
        ("whole", Node.text, "a string, found a number"),
        ("text", Node.flag, "true or false, found a string"),
        ("whole", Node.flag, "true or false, found a number"),
        ("flag", Node.integer, "a whole number, found true or false"),
        ("float", Node.integer, "a whole number, found a number"),
        ("flag", Node.number, "a number, found true or false"),
        ("text", Node.number, "a number, found a string"),
        ("object", lambda found: list(found.items()), "a list, found an object"),
    ],
)
def test_a_wrong_type_is_told_by_its_place(name, getter, wanted):
    with pytest.raises(Malformed) as caught:
        getter(node(name))
    assert (caught.value.place, caught.value.fault) == (name, f"expected {wanted}")
    assert str(caught.value) == f"{name}: expected {wanted}"


def test_places_are_paths():
    [first, second] = Node(BODY).need("object").need("inner").items()
    assert first.need("text").place == "object.inner[0].text"
    with pytest.raises(Malformed, match=r"^object\.inner\[1\]: expected an object, found a number$"):
        second.get("text")
    with pytest.raises(Malformed, match=r"^object\.inner\[0\]\.absent: is required$"):
        first.need("absent")


def test_null_is_absence():
    body = Node(BODY)
    assert body.get("null") is body.get("absent") is None
    assert (body.text_of("null"), body.text_of("absent", "d"), body.text_of("text")) == ("", "d", "t")
    assert (body.count_of("null"), body.count_of("whole")) == (0, 3)
    assert body.list_of("null") == []
    assert [item.value for item in body.list_of("list")] == [1, "b"]
    with pytest.raises(Malformed, match="null: is required"):
        body.need("null")
    with pytest.raises(Malformed, match="expected a string, found null"):
        Node(None).text()


@pytest.mark.parametrize(
    ("value", "least", "most", "said"),
    [
        (0, 1, None, "must be at least 1, is 0"),
        (3, None, 2, "must be at most 2, is 3"),
        (2.5, 0, 2, "must be between 0 and 2, is 2.5"),
        (-1, 0, 2, "must be between 0 and 2, is -1"),
    ],
)
def test_ranges(value, least, most, said):
    with pytest.raises(Malformed) as caught:
        Node(value, "x").number(least, most)
    assert caught.value.fault == said
    assert Node(1).number(0, 2) == Node(1).integer(1, 1) == 1


def test_a_huge_number_makes_no_huge_sentence():
    with pytest.raises(Malformed) as caught:
        Node(int("9" * 4000), "x").integer(0, 5)
    assert len(str(caught.value)) < 80


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_no_whole_number_is_infinite(value):
    with pytest.raises(Malformed):
        Node(value).integer()


def test_negative_counts_are_none():
    with pytest.raises(Malformed, match="a: must be at least 0"):
        Node({"a": -1}).count_of("a")


def test_one_of_some():
    assert Node("b").one_of("a", "b") == "b"
    with pytest.raises(Malformed, match=r"'xx.*' is none of a, b") as caught:
        Node("x" * 1000).one_of("a", "b")
    assert len(caught.value.fault) < 100


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":[' + b"[]," * 600_000 + b"[]]}",
        b'{"a":[' + b"1," * 2_100_000 + b"1]}",
        b"[" + b'{"a":1},' * 600_000 + b"{}]",
    ],
    ids=["lists", "numbers", "objects"],
)
@pytest.mark.parametrize("read", [parse, parse_fast])
def test_what_would_take_seconds_to_read_is_not_read(read, body):
    with pytest.raises(Malformed, match="holds more than"):
        read(body)


def test_a_long_text_is_no_large_structure():
    assert parse(b'{"text":"' + b"x" * 8_000_000 + b'"}')["text"].endswith("x")


@pytest.mark.parametrize("coding", ["utf-16", "utf-32", "utf-8-sig"])
def test_json_is_utf_8(coding):
    with pytest.raises(Malformed):
        parse('{"a":1}'.encode(coding))


def test_a_name_is_told_in_characters_that_a_header_holds():
    assert (tellable("a\r\nb: ü"), tellable("x" * 99), tellable("xyz", 2)) == ("a??b???", "x" * 80, "xy")


def test_b4_more_names_than_anybody_says_are_not_read():
    body = b'{"a":{' + b",".join(b'"%x" :1' % number for number in range(1_000_001)) + b"}}"
    with pytest.raises(Malformed, match="1000000 names"):
        text_of(body)
