"""Members of a JSON object changed in its bytes."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmauth.codecs.splice import Splice, asked_in, model_replaced
from llmauth.errors import BadRequest

ODD = b' \n{ "a" : 1.50e+1 ,\t"model":"x\\u00e9" , "b":{"model":"inner","c":[1,2 ]}, "stream" : true }\r\n'


def model_in(body):
    return asked_in(body)[0]


def stream_in(body):
    return asked_in(body)[1]


def test_the_model_is_replaced_and_every_other_byte_stays():
    assert model_replaced(ODD, 'new/"é') == ODD.replace(b'"x\\u00e9"', b'"new/\\"\\u00e9"')
    assert model_in(ODD) == "xé"
    assert stream_in(ODD)


def test_a_name_may_be_written_with_escapes():
    body = b'{"m\\u006fdel":"a","x":"model"}'
    assert model_in(body) == "a"
    assert model_replaced(body, "b") == b'{"m\\u006fdel":"b","x":"model"}'


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"a","model":"b"}',
        b'{"model":"a","Model":"b"}',
        b'{"model":"a","m\\u006fdel":"b"}',
        b'{"x":1,"x":2,"model":"a"}',
        b"",
        b"null",
        b'["model"]',
        b'"model"',
        b'{"model":"a"',
        b'{"model":"a"}}',
        b'{"model":"a"} {"model":"b"}',
        b'{"model":"a",}',
        b"{model:1}",
        b"{'model':'a'}",
        b'{"model" "a"}',
        b'{"model":}',
        b'{"model":NaN}',
        b'{"model":"a\n"}',
        b'\xef\xbb\xbf{"model":"a"}',
        b'{"model":"\xff"}',
        '{"model":"a"}'.encode("utf-16"),
        b'{"model":"a","x":' + b"[" * 100_000,
        b'{"model":"a","x":' + b"1" * 5_000 + b"}",
    ],
)
def test_what_two_readers_could_read_differently_is_refused(body):
    for read in (asked_in, Splice, lambda body: model_replaced(body, "b")):
        with pytest.raises(BadRequest) as refused:
            read(body)
        assert refused.value.code == "invalid_request"


@pytest.mark.parametrize("body", [b"{}", b'{"model":null}', b'{"x":{"model":"a"}}'])
def test_no_model(body):
    assert model_in(body) is None
    with pytest.raises(BadRequest, match="names no model"):
        model_replaced(body, "b")


@pytest.mark.parametrize("value", [b"1", b"true", b"[]", b"{}"])
def test_a_model_is_a_string(value):
    with pytest.raises(BadRequest) as refused:
        model_in(b'{"model":' + value + b"}")
    assert refused.value.param == "model"


@pytest.mark.parametrize(("value", "stream"), [(b"true", True), (b"false", False), (b"null", False)])
def test_a_stream_is_asked_for_or_not(value, stream):
    assert stream_in(b'{"stream":' + value + b"}") is stream
    assert stream_in(b"{}") is False


@pytest.mark.parametrize("value", [b"1", b'"true"', b"[]"])
def test_a_stream_is_true_or_false(value):
    with pytest.raises(BadRequest) as refused:
        stream_in(b'{"stream":' + value + b"}")
    assert refused.value.param == "stream"


@pytest.mark.parametrize(
    ("without", "left"),
    [
        (("a",), b'{ "b":2 ,"c":3 }'),
        (("b",), b'{ "a":1,"c":3 }'),
        (("c",), b'{ "a":1 , "b":2 }'),
        (("a", "b", "c"), b"{  }"),
        (("z",), b'{ "a":1 , "b":2 ,"c":3 }'),
    ],
)
def test_members_go_with_their_commas(without, left):
    assert Splice(b'{ "a":1 , "b":2 ,"c":3 }').altered(without=without) == left


@pytest.mark.parametrize(
    ("body", "result"), [(b"{}", b'{"n":[1]}'), (b" { } ", b' {"n":[1] } '), (b'{"a":1}', b'{"n":[1],"a":1}')]
)
def test_members_are_added_in_front(body, result):
    assert Splice(body).altered(added={"n": [1]}) == result


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | st.just("model"), inner, max_size=3)
    ),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=4) | st.sampled_from(["stream_options", "b"]), VALUES, max_size=4)
NAMES = st.text(max_size=8)


@given(OBJECTS, NAMES, NAMES, st.sampled_from([None, 1]), st.booleans())
def test_a_replaced_model_changes_nothing_else(rest, before, after, indent, ascii_only):
    rest.pop("model", None)
    body = json.dumps({**rest, "model": before}, indent=indent, ensure_ascii=ascii_only)
    changed = model_replaced(body.encode(), after)
    assert json.loads(changed) == {**rest, "model": after}
    assert model_in(changed) == after
    end = "}" if indent is None else "\n}"
    stays = body.removesuffix(json.dumps(before, ensure_ascii=ascii_only) + end)
    assert len(stays) < len(body)
    assert changed == f"{stays}{json.dumps(after)}{end}".encode()


@given(OBJECTS, st.lists(st.sampled_from(["a", "b", "model"]), max_size=2), st.sampled_from([None, 2]))
def test_altered_objects_are_the_objects_they_should_be(rest, without, indent):
    body = json.dumps(rest, indent=indent).encode()
    changed = json.loads(Splice(body).altered(without=tuple(without), added={"\u0000new": 1}))
    assert changed == {"\u0000new": 1, **{name: value for name, value in rest.items() if name not in without}}


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(data):
    try:
        Splice(data)
    except BadRequest:
        return
    assert isinstance(json.loads(data), dict)


def test_a_million_members_of_its_own_are_refused_at_once():
    body = b'{"model":"m",' + b",".join(b'"%d":1' % number for number in range(900_000)) + b"}"
    began = time.process_time()
    with pytest.raises(BadRequest, match="members"):
        asked_in(body)
    assert time.process_time() - began < 1
