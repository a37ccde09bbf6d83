"""A client's whole body: what must be there, what is not known, and bytes that are no request."""

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmauth.chat.messages import Message, Reasoning, Text
from llmauth.chat.words import Word
from llmauth.codecs.openai.codec import CHAT
from llmauth.codecs.openai.request import parse_request
from llmauth.errors import BadRequest
from tests.golden.cases import cases
from tests.llmauth.codecs.openai.samples import GOLDEN, parsed, refused


def test_the_least_request():
    request = parsed()
    assert (request.model, request.messages) == ("m", (Message("user", (Text("Hi"),)),))
    assert (request.stream, request.include_usage, request.parameters, request.unknown) == (False, False, {}, ())


@pytest.mark.parametrize(
    ("options", "asked"), [({}, False), ({"include_usage": False}, False), ({"include_usage": True}, True)]
)
def test_usage_in_a_stream_has_to_be_asked_for(options, asked):
    request = parsed(stream=True, stream_options=options)
    assert (request.stream, request.include_usage) == (True, asked)


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": 3}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"reasoning_effort": "much"}, "reasoning_effort"),
        ({"moderation": {"model": "omni-moderation-latest"}}, "moderation"),
    ],
)
def test_a_fault_names_its_member(members, param):
    assert refused(**members).param == param


def test_effort():
    assert parsed(reasoning_effort="xhigh").reasoning == Reasoning(effort="xhigh")
    assert parsed(reasoning_effort=None).reasoning is None


def test_what_is_not_known_is_told_by_names_that_fit_into_a_header():
    request = parsed(**{"frobnicate": 1, "prompt_cache_options": {"mode": "explicit"}, "empty": None, "a\r\nb: ü": 2})
    assert request.unknown == ("frobnicate", "prompt_cache_options", "a??b???")


@pytest.mark.parametrize(
    "body",
    [b"", b"nonsense", b"[]", b"null", b'"\xff"', b'{"model": "m", "model": "n"}', b'{"model": NaN}', b"[" * 5000],
)
def test_what_is_no_request_is_refused(body):
    with pytest.raises(BadRequest) as caught:
        parse_request(body)
    assert (caught.value.status, caught.value.code) == (400, "invalid_request")


def _mutations():
    values: st.SearchStrategy[object] = (
        st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.just([]) | st.just({}) | st.just([{}])
    )
    return st.tuples(st.sampled_from(sorted(cases())), st.integers(0, 30), values)


def _places(value, found):
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in members:
        found.append((value, key))
        _places(inner, found)
    return found


@settings(max_examples=150, deadline=None, derandomize=True)
@given(_mutations())
def test_hostile_bodies_are_refused_or_read(mutation):
    """Only the designed refusal, whatever stands at whatever place."""
    name, number, value = mutation
    body = json.loads((GOLDEN / f"{name.replace(' ', '_')}.request.json").read_bytes())
    places = _places(body, [])
    holder, key = places[number % len(places)]
    holder[key] = value
    with contextlib.suppress(BadRequest):
        assert CHAT.parse_request(json.dumps(body).encode()).messages


def test_functions_are_tools_in_the_words_of_2023():
    functions = [{"name": "f", "description": "d", "parameters": {"type": "object"}}]
    request = parsed(functions=functions, function_call={"name": "f"})
    assert [tool.name for tool in request.tools] == ["f"]
    assert request.named(Word.TOOLS) == "functions"
    # Where this cannot be said, it is not the functions that are left out.
    assert request.named(Word.PARALLEL_TOOL_CALLS) == "parallel_tool_calls"
    assert request.parameters == {Word.PARALLEL_TOOL_CALLS: False}
