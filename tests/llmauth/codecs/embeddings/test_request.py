"""Requests for embeddings: what is read, and what is refused by the name of its member."""

import json

import pytest

from llmauth.codecs.embeddings.request import EmbeddingRequest, parse_request
from llmauth.errors import BadRequest, UnsupportedParameter


def body(**more):
    return json.dumps({"model": "m", "input": "Hello", **more}).encode()


def test_every_member_is_read():
    told = parse_request(
        body(input=["a", "b"], dimensions=512, encoding_format="base64", user="u", input_type="search_query")
    )
    assert told == EmbeddingRequest(
        model="m", inputs=("a", "b"), dimensions=512, encoding="base64", user="u", input_type="search_query"
    )


def test_one_text_is_a_list_of_one_and_null_is_absence():
    told = parse_request(body(dimensions=None, encoding_format=None, user=None, input_type=None, extra=None))
    assert told == EmbeddingRequest(model="m", inputs=("Hello",))


def test_what_nobody_knows_is_told_in_characters_that_a_header_holds():
    told = parse_request(body(**{"a\r\nSet-Cookie: x": 1, "x" * 300: 1, "plain": 1}))
    assert told.unknown == ("a??Set-Cookie??x", "x" * 64, "plain")


def test_the_list_of_what_nobody_knows_ends():
    assert len(parse_request(body(**{f"m{number}": 1 for number in range(500)})).unknown) == 32


@pytest.mark.parametrize("tokens", [[1, 2], [[1, 2], [3]]])
def test_tokens_are_refused_by_name_with_a_way_out(tokens):
    with pytest.raises(UnsupportedParameter) as refused:
        parse_request(body(input=tokens))
    assert refused.value.param == "input"
    assert "Send texts" in refused.value.hint


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"input": ["a", ""]}, "input[1]"),
        ({"input": ["a", 1]}, "input[1]"),
        ({"input": {"text": "a"}}, "input"),
        ({"input": ["a"] * 2049}, "input"),
        ({"input": "\ud800"}, "input"),
        ({"input": None}, "input"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": "512"}, "dimensions"),
        ({"dimensions": True}, "dimensions"),
        ({"encoding_format": "int8"}, "encoding_format"),
        ({"input_type": "query"}, "input_type"),
        ({"user": 7}, "user"),
        ({"model": 7}, "model"),
    ],
)
def test_what_is_wrong_is_named_by_its_place(more, place):
    with pytest.raises(BadRequest) as refused:
        parse_request(body(**more))
    assert (refused.value.param, refused.value.code) == (place, "invalid_request")


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'{"input":"a","input":"b","model":"m"}', b"\xff", b"NaN"])
def test_what_is_no_object_is_refused(raw):
    with pytest.raises(BadRequest):
        parse_request(raw)


def test_as_many_texts_as_openai_takes():
    assert len(parse_request(body(input=["a"] * 2048)).inputs) == 2048
