"""Answers in Oracle's GENERIC format, beside the golden ones."""

import json

import pytest

from llmauth.chat.collecting import collect
from llmauth.chat.events import ArgumentsDelta, CallStarted, Cited, Failed, Finished, LogprobsDelta, Started, TextDelta
from llmauth.chat.messages import Citation, Finish, Text, ToolCall, Usage
from llmauth.codecs.oracle.answers import call_id
from llmauth.codecs.oracle.codec import OracleProvider
from llmauth.errors import BrokenAnswer
from tests.golden.streams import decoded

CODEC = OracleProvider("xai.grok-4", "ocid1.compartment.oc1..a")


def answer(*choices: dict, **more: object) -> bytes:
    return json.dumps({"modelId": "m", "chatResponse": {"apiFormat": "GENERIC", "choices": choices, **more}}).encode()


def events(*chunks: dict) -> list:
    data = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
    found = decoded(CODEC.stream_decoder(), [data.encode()])
    return [event for event in found if not isinstance(event, Started)]


LIKELY = {
    "tokens": ["Hé", "!"],
    "tokenLogprobs": [-0.5, None],
    "topLogprobs": [{"Hé": "-0.5", "Ho": -2}, None],
    "textOffset": [0, 2],
}
TOLD = (
    {
        "token": "Hé",
        "logprob": -0.5,
        "bytes": [72, 195, 169],
        "top_logprobs": [
            {"token": "Hé", "logprob": -0.5, "bytes": [72, 195, 169]},
            {"token": "Ho", "logprob": -2.0, "bytes": [72, 111]},
        ],
    },
    {"token": "!", "logprob": -9999.0, "bytes": [33], "top_logprobs": []},
)
MESSAGE = {"role": "ASSISTANT", "content": [{"type": "TEXT", "text": "Hé!"}]}


def test_probabilities_are_told_as_openai_does():
    (choice,) = CODEC.parse_response(
        answer({"index": 0, "message": MESSAGE, "finishReason": "stop", "logprobs": LIKELY})
    ).choices
    assert choice.logprobs == {"content": list(TOLD)}
    found = events({"index": 0, "message": MESSAGE, "logprobs": LIKELY}, {"index": 0, "finishReason": "stop"})
    assert found == [TextDelta("Hé!"), LogprobsDelta(TOLD), Finished(Finish.STOP)]


@pytest.mark.parametrize("value", ["NaN", "Infinity", '"what"', "{}", "1" + "0" * 400])
def test_probabilities_that_are_no_numbers_of_json_are_unlikely(value):
    body = answer({"message": MESSAGE, "finishReason": "stop", "logprobs": {"tokens": ["a"], "tokenLogprobs": ["@"]}})
    (choice,) = CODEC.parse_response(body.replace(b'"@"', value.encode())).choices
    assert choice.logprobs is not None
    assert choice.logprobs["content"][0]["logprob"] == -9999.0


def test_several_choices_each_with_its_own_end():
    second = {**MESSAGE, "content": [{"type": "TEXT", "text": "Other"}]}
    response = CODEC.parse_response(
        answer({"index": 0, "message": MESSAGE, "finishReason": "STOP"}, {"index": 1, "message": second})
    )
    assert [(choice.index, choice.parts) for choice in response.choices] == [(0, (Text("Hé!"),)), (1, (Text("Other"),))]
    found = events(
        {"index": 0, "message": MESSAGE},
        {"index": 1, "message": second},
        {"index": 1, "finishReason": "length"},
        {"index": 0, "finishReason": "stop"},
        {"index": 0, "message": MESSAGE},
    )
    collected = collect(found)
    assert [(choice.index, choice.finish) for choice in collected.choices] == [(0, Finish.STOP), (1, Finish.LENGTH)]
    assert [choice.parts for choice in collected.choices] == [(Text("Hé!"),), (Text("Other"),)]


def test_a_stream_one_of_whose_choices_did_not_end_is_broken():
    found = events({"index": 0, "message": MESSAGE}, {"index": 1, "finishReason": "stop"})
    assert isinstance(found[-1], Failed)
    assert isinstance(found[-1].error, BrokenAnswer)


NOTE = {
    "type": "url_citation",
    "urlCitation": {"startIndex": 0, "endIndex": 2, "title": "T", "url": "https://a.example"},
}
CITED = Citation("https://a.example", "T", 0, 2)


def test_sources_are_told():
    message = {**MESSAGE, "annotations": [NOTE, {"type": "other"}]}
    (choice,) = CODEC.parse_response(answer({"message": message, "finishReason": "stop"})).choices
    assert choice.parts == (Text("Hé!", citations=(CITED,)),)
    assert events({"message": message}, {"finishReason": "stop"})[1] == Cited(CITED)


def test_calls_without_ids_get_the_same_ones_in_stream_and_whole():
    calls = [{"type": "FUNCTION", "name": "f", "arguments": "{}"}] * 2
    message = {"role": "ASSISTANT", "toolCalls": calls}
    told = tuple(ToolCall(call_id(place, "f", "{}"), "f", "{}") for place in (0, 1))
    assert CODEC.parse_response(answer({"message": message, "finishReason": "stop"})).choices[0].parts == told
    assert collect(events({"message": message}, {"finishReason": "stop"})).choices[0].parts == told
    assert told[0].id != told[1].id


def test_the_name_of_a_call_may_come_after_its_id():
    pieces = [{"id": "c1"}, {"name": "f"}, {"arguments": "{"}, {"id": "c1", "arguments": "}"}]
    found = events(*({"message": {"toolCalls": [piece]}} for piece in pieces), {"finishReason": "TOOL_CALLS"})
    assert found == [
        CallStarted(0, "c1", "f"),
        ArgumentsDelta(0, "{"),
        ArgumentsDelta(0, "}"),
        Finished(Finish.TOOL_CALLS),
    ]


@pytest.mark.parametrize(
    "pieces",
    [
        [{"arguments": "{}"}],
        [{"id": "c1"}, {"arguments": "{}"}],
        [{"id": "c1", "name": "f"}, {"id": "c2", "name": "g"}, {"id": "c1", "arguments": "{}"}],
        [{"id": 5, "name": "f"}],
        [{"id": f"c{n}", "name": "f"} for n in range(129)],
    ],
)
def test_pieces_that_belong_to_no_call_break_the_stream(pieces):
    found = events(*({"message": {"toolCalls": [piece]}} for piece in pieces))
    assert isinstance(found[-1], Failed)
    assert isinstance(found[-1].error, BrokenAnswer)


def test_usage_of_a_whole_answer():
    details = {"promptTokensDetails": {"cachedTokens": 4}, "completionTokensDetails": {"reasoningTokens": 2}}
    usage = {"promptTokens": 10, "completionTokens": 3, "totalTokens": 13, **details}
    response = CODEC.parse_response(answer({"message": MESSAGE, "finishReason": "stop"}, usage=usage))
    assert response.usage == Usage(input=6, cache_read=4, output=3, reasoning=2)
    assert CODEC.parse_response(answer({"message": MESSAGE})).usage is None


def test_an_answer_of_which_a_filter_left_nothing_is_empty():
    (choice,) = CODEC.parse_response(answer({"index": 0, "message": None, "finishReason": "content_filter"})).choices
    assert (choice.parts, choice.finish) == ((), Finish.CONTENT_FILTER)
