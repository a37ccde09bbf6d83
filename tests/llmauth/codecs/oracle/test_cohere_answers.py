"""Answers in Oracle's COHERE format, beside the golden ones."""

import json

import pytest

from llmauth.chat.collecting import collect
from llmauth.chat.events import Failed, Finished, Started, TextDelta, UsageTold
from llmauth.chat.messages import Finish, Text, ToolCall, Usage
from llmauth.codecs.oracle.answers import call_id
from llmauth.codecs.oracle.codec import OracleProvider
from llmauth.codecs.oracle.cohere_answers import Repeated
from llmauth.errors import BrokenAnswer, UpstreamError
from tests.golden.streams import decoded

CODEC = OracleProvider("cohere.command-r-08-2024", "ocid1.compartment.oc1..a")
F = {"name": "f", "parameters": {"x": 1}}
G = {"name": "g", "parameters": None}


def events(*chunks: dict) -> list:
    data = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
    found = decoded(CODEC.stream_decoder(), [data.encode()])
    return [event for event in found if not isinstance(event, Started)]


def call(place: int, name: str, arguments: str) -> ToolCall:
    return ToolCall(call_id(place, name, arguments), name, arguments)


@pytest.mark.parametrize(
    ("last", "told"),
    [
        ({"text": "Hello you", "chatHistory": []}, "Hello you"),
        ({"text": "Hello you"}, "Hello you"),
        ({"text": " Hello you \n"}, "Hello you"),
        ({"text": "Hello you!", "chatHistory": []}, "Hello you!"),
        ({"text": "Corrected.", "chatHistory": []}, "Hello you"),
        ({"text": ", friend"}, "Hello you, friend"),
        ({}, "Hello you"),
        ({"text": None}, "Hello you"),
    ],
)
def test_the_whole_text_at_the_end_is_not_told_twice(last, told):
    found = events({"text": "Hello"}, {"text": " you"}, {**last, "finishReason": "COMPLETE"})
    assert collect(found).choices[0].parts == (Text(told),)
    assert found[-1] == Finished(Finish.STOP)


def test_a_text_that_comes_at_the_end_alone_is_told():
    assert events({"text": "Hi", "chatHistory": [], "finishReason": "COMPLETE"})[0] == TextDelta("Hi")


@pytest.mark.parametrize(
    "chunks",
    [
        [{"toolCalls": [F]}, {"toolCalls": [G]}],
        [{"toolCalls": [F]}, {"toolCalls": [F, G]}],
        [{"text": "", "toolCalls": [F, G]}],
        [],
    ],
)
def test_calls_are_told_once_with_the_ids_of_their_places(chunks):
    found = events(*chunks, {"text": "", "toolCalls": [F, G], "finishReason": "COMPLETE", "chatHistory": []})
    answer = collect(found).choices[0]
    assert answer.parts == (call(0, "f", '{"x":1}'), call(1, "g", "{}"))
    assert answer.finish is Finish.TOOL_CALLS


def test_usage_may_come_after_the_end():
    usage = {"promptTokens": 3, "completionTokens": 1, "totalTokens": 4}
    found = events({"text": "A"}, {"finishReason": "COMPLETE"}, {"text": "A"}, {"usage": usage})
    assert found == [TextDelta("A"), Finished(Finish.STOP), UsageTold(Usage(input=3, output=1))]


def test_an_answer_that_ends_in_a_failure_fails():
    found = events({"text": "A"}, {"finishReason": "ERROR", "errorMessage": "the model is ill"})
    assert isinstance(found[-1], Failed)
    assert isinstance(found[-1].error, UpstreamError)
    assert found[-1].error.message == "the model is ill"


@pytest.mark.parametrize(
    "chunk",
    [{"text": 5}, {"toolCalls": [{}]}, {"toolCalls": [{"name": "f", "parameters": "x"}]}, {"finishReason": 5}],
)
def test_chunks_that_are_not_of_the_format_break_the_stream(chunk):
    found = events({"text": "A"}, chunk, {"finishReason": "COMPLETE"})
    assert isinstance(found[-1], Failed)
    assert isinstance(found[-1].error, BrokenAnswer)


def test_parameters_that_json_cannot_hold_are_broken():
    answer = b'{"text":"","finishReason":"COMPLETE","toolCalls":[{"name":"f","parameters":{"x":NaN}}]}'
    with pytest.raises(BrokenAnswer):
        CODEC.parse_response(b'{"modelId":"m","chatResponse":' + answer + b"}")


def test_what_repeats_may_be_longer():
    repeated = Repeated()
    assert repeated.piece("ab") == "ab"
    assert repeated.rest("abc", repeats=True) == "c"
    with pytest.raises(TypeError):
        repeated.piece(5)  # type: ignore[arg-type]
