"""Whole answers: the golden ones, and those that are none."""

import contextlib
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmauth.chat.messages import ChatResponse, Choice, Finish, Usage
from llmauth.codecs.gemini.response import parse_response
from llmauth.errors import BrokenAnswer, UpstreamError
from tests.golden.cases import cases
from tests.golden.gemini import text_of

# Gemini redacts no thinking and refuses in plain words; and it tells of no tokens that were written to a cache.
CASES = {name: case for name, case in cases("gemini").items() if name not in ("redacted thinking", "refusal")}


def wanted(name: str) -> ChatResponse:
    response = CASES[name].response
    usage = Usage(input=60, cache_read=200, output=5) if name == "cache" else response.usage
    return replace(response, id="abcDEF123", model="gemini-2.5-flash", usage=usage)


@pytest.mark.parametrize("name", CASES)
def test_golden(name):
    assert parse_response(text_of(f"{name}.response.json").encode()) == wanted(name)


@pytest.mark.parametrize("reason", ["SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "MODEL_ARMOR", "JAILBREAK"])
def test_a_blocked_prompt_has_no_candidates(reason):
    body = {
        "promptFeedback": {"blockReason": reason, "blockReasonMessage": "The prompt was blocked."},
        "usageMetadata": {"promptTokenCount": 9, "totalTokenCount": 9},
        "responseId": "r",
        "modelVersion": "m",
    }
    assert parse_response(json.dumps(body).encode()) == ChatResponse(
        id="r", model="m", choices=(Choice(parts=(), finish=Finish.CONTENT_FILTER),), usage=Usage(input=9)
    )


def test_several_candidates_are_as_many_choices():
    candidates = [{"content": {"parts": [{"text": text}]}, "finishReason": "STOP"} for text in "ab"]
    found = parse_response(json.dumps({"candidates": candidates}).encode())
    assert [(choice.index, choice.parts[0].text) for choice in found.choices] == [(0, "a"), (1, "b")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b"3",
        b"{}",
        b'{"candidates": []}',
        b'{"candidates": {}}',
        b'{"candidates": [null]}',
        b'{"candidates": [{"content": "x"}]}',
        b'{"candidates": [{"content": {"parts": [{"text": 3}]}}]}',
        b'{"candidates": [{"content": {"parts": [{"functionCall": {"args": {}}}]}}]}',
        b'{"candidates": [{"content": {"parts": [{"functionCall": {"name": ""}}]}}]}',
        b'{"candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "args": []}}]}}]}',
        b'{"candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "args": {"a": NaN}}}]}}]}',
        b'{"candidates": [{"index": -1}]}',
        b'{"candidates": [{"finishReason": 3}]}',
        b'{"candidates": [{}], "usageMetadata": {"promptTokenCount": "many"}}',
        b'{"candidates": [{}], "usageMetadata": [1]}',
        b'{"promptFeedback": {}}',
        b'{"a":' * 100_000,
    ],
)
def test_what_is_no_answer_is_broken(body):
    with pytest.raises(BrokenAnswer) as caught:
        parse_response(body)
    assert len(caught.value.message) < 250


def test_a_failure_that_comes_with_status_200():
    with pytest.raises(UpstreamError) as caught:
        parse_response(b'{"error": {"code": 503, "message": "Busy.", "status": "UNAVAILABLE"}}')
    assert (caught.value.message, caught.value.cause) == ("Busy.", "overloaded")


_VALUES = st.sampled_from([None, True, -1, 0, 1e400, "", "x", [], {}, [None], {"a": None}, "\ud800"])


def mutated(value, path, new):
    """The same with one value in its depths replaced; where that is, the numbers in `path` choose."""
    if not path or not isinstance(value, dict | list) or not value:
        return new
    step, *rest = path
    copy = dict(value) if isinstance(value, dict) else list(value)
    key = (list(copy) if isinstance(copy, dict) else range(len(copy)))[step % len(copy)]
    copy[key] = mutated(copy[key], rest, new)
    return copy


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(list(CASES)), st.lists(st.integers(0, 9), max_size=8), _VALUES)
def test_hostile_values_are_broken_answers_at_worst(name, path, new):
    body = json.dumps(mutated(json.loads(text_of(f"{name}.response.json")), path, new)).encode()
    with contextlib.suppress(BrokenAnswer, UpstreamError):
        assert parse_response(body).choices


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(list(CASES)), st.integers(0, 2000), st.binary(max_size=4))
def test_hostile_bytes_are_broken_answers_at_worst(name, place, inserted):
    body = text_of(f"{name}.response.json").encode()
    place %= len(body)
    for hostile in (body[:place], body[:place] + inserted + body[place:], body[:place] + inserted):
        with contextlib.suppress(BrokenAnswer, UpstreamError):
            assert parse_response(hostile).choices


@pytest.mark.parametrize("depth", [50, 500, 900, 5000])
def test_arguments_of_any_depth_end_in_an_answer_or_in_a_broken_one(depth):
    call = b'{"functionCall": {"name": "f", "args": ' + b'{"a":' * depth + b"1" + b"}" * depth + b"}}"
    with contextlib.suppress(BrokenAnswer):
        (choice,) = parse_response(b'{"candidates": [{"content": {"parts": [' + call + b"]}}]}").choices
        assert choice.parts[0].arguments.count("{") == depth
