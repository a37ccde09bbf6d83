"""Answers in Oracle's COHEREV2 format, beside the golden ones."""

import json

import pytest

from llmauth.chat.collecting import collect
from llmauth.chat.events import Failed, Finished, LogprobsDelta, Started, TextDelta, UsageTold
from llmauth.chat.messages import Finish, Text, ToolCall, Usage
from llmauth.codecs.oracle.answers import call_id
from llmauth.codecs.oracle.codec import OracleProvider
from llmauth.errors import BrokenAnswer
from tests.golden.streams import decoded

CODEC = OracleProvider("cohere.command-a-03-2025", "ocid1.compartment.oc1..a")


def events(*chunks: dict) -> list:
    data = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
    found = decoded(CODEC.stream_decoder(), [data.encode()])
    return [event for event in found if not isinstance(event, Started)]


def said(text: str, **more: object) -> dict:
    return {"message": {"role": "ASSISTANT", "content": [{"type": "TEXT", "text": text}], **more}}


LIKELY = [{"tokenIds": [1, 2], "text": "Hi", "logProbabilities": [-0.25, -0.5]}]
TOLD = {"token": "Hi", "logprob": -0.75, "bytes": [72, 105], "top_logprobs": []}


def test_the_probability_of_a_piece_is_that_of_its_tokens_together():
    answer = {"id": "i", **said("Hi"), "finishReason": "COMPLETE", "logProbabilities": LIKELY}
    whole = CODEC.parse_response(json.dumps({"modelId": "m", "chatResponse": answer}).encode())
    assert whole.choices[0].logprobs == {"content": [TOLD]}
    found = events({**said("Hi"), "logProbabilities": LIKELY}, {"finishReason": "STOP_SEQUENCE"})
    assert found == [TextDelta("Hi"), LogprobsDelta((TOLD,)), Finished(Finish.STOP_SEQUENCE)]


def test_arguments_may_come_in_pieces_and_again_at_the_end():
    whole = {"id": "c", "type": "FUNCTION", "function": {"name": "f", "arguments": '{"x":1}'}}
    pieces = [
        {"id": "c", "type": "FUNCTION", "function": {"name": "f"}},
        {"function": {"arguments": '{"x":'}},
        {"function": {"arguments": "1}"}},
    ]
    chunks = [{"message": {"toolCalls": [piece]}} for piece in pieces]
    found = events(*chunks, {"message": {"toolCalls": [whole]}, "finishReason": "TOOL_CALL"})
    assert collect(found).choices[0].parts == (ToolCall("c", "f", '{"x":1}'),)


def test_a_call_without_an_id_gets_one():
    call = {"type": "FUNCTION", "function": {"name": "f", "arguments": {}}}
    answer = {"message": {"content": [], "toolCalls": [call]}, "finishReason": "TOOL_CALL"}
    told = (ToolCall(call_id(0, "f", "{}"), "f", "{}"),)
    assert CODEC.parse_response(json.dumps({"chatResponse": answer}).encode()).choices[0].parts == told
    assert collect(events(answer)).choices[0].parts == told


def test_what_was_said_is_not_told_twice_and_what_is_new_is():
    found = events(said("Hello"), {**said("Hello you"), "finishReason": "COMPLETE"}, said("Hello"))
    assert collect(found).choices[0].parts == (Text("Hello you"),)


def test_usage_may_come_after_the_end():
    found = events({**said("A"), "finishReason": "COMPLETE"}, {"usage": {"promptTokens": 3, "completionTokens": 1}})
    assert found[-1] == UsageTold(Usage(input=3, output=1))


@pytest.mark.parametrize(
    "chunk",
    [
        {"message": {"content": "text"}},
        {"message": {"content": [{"text": 1}]}},
        {"message": {"toolCalls": [{"function": {"arguments": "{}"}}]}},
        {"message": {"toolCalls": [{}]}},
        {"logProbabilities": [{"logProbabilities": ["x"]}]},
    ],
)
def test_chunks_that_are_not_of_the_format_break_the_stream(chunk):
    (failed,) = events(chunk)
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, BrokenAnswer)


def test_an_answer_whose_call_has_no_name_is_broken():
    answer = {"message": {"content": [], "toolCalls": [{"function": {}}]}, "finishReason": "TOOL_CALL"}
    with pytest.raises(BrokenAnswer):
        CODEC.parse_response(json.dumps({"chatResponse": answer}).encode())
