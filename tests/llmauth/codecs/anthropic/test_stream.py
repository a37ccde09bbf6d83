"""Streams of Anthropic under every split."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmauth.chat.collecting import collect
from llmauth.chat.events import (
    ArgumentsDelta,
    CallStarted,
    Cited,
    Failed,
    Finished,
    TextDelta,
    UsageTold,
)
from llmauth.chat.messages import Citation, Finish, Usage
from llmauth.codecs.anthropic import answer_tool
from llmauth.codecs.anthropic.stream import MessagesDecoder
from llmauth.errors import BrokenAnswer, UpstreamError
from tests.golden.cases import cases
from tests.golden.streams import decoded, same_under_every_split
from tests.llmauth.codecs.anthropic.golden import ANSWER_ID, ANSWERED_AS, golden

CASES = [name for name in cases() if name != "content filter"]
START = {
    "type": "message_start",
    "message": {"id": "m", "model": "c", "usage": {"input_tokens": 3, "output_tokens": 1}},
}
STOP = {"type": "message_stop"}


def sse(*events):
    return b"".join(b"event: %b\ndata: %b\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in events)


def told(*events):
    return decoded(MessagesDecoder(), [sse(START, *events)])[2:]  # without Started and its usage


def begun(index, **block):
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index, **fields):
    return {"type": "content_block_delta", "index": index, "delta": fields}


def ended(reason="end_turn", **usage):
    return {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": usage}


@pytest.mark.parametrize("name", CASES)
def test_golden_streams(name):
    expected = replace(cases()[name].response, id=ANSWER_ID, model=ANSWERED_AS)
    assert collect(same_under_every_split(MessagesDecoder, golden(name, "stream"))) == expected


def test_usage_is_cumulative_and_told_each_time():
    stream = sse(START, ended(output_tokens=20, output_tokens_details={"thinking_tokens": 7}), STOP)
    usages = [event.usage for event in decoded(MessagesDecoder(), [stream]) if isinstance(event, UsageTold)]
    assert usages == [Usage(input=3, output=1), Usage(input=3, output=20, reasoning=7)]


def test_a_call_without_arguments_has_an_empty_object():
    call = begun(0, type="tool_use", id="t", name="f", input={})
    events = told(call, delta(0, type="input_json_delta", partial_json=""), {"type": "content_block_stop", "index": 0})
    assert events[:2] == [CallStarted(0, "t", "f"), ArgumentsDelta(0, "{}")]


def test_arguments_that_come_with_the_start_count():
    events = told(
        begun(0, type="tool_use", id="t", name="f", input={"a": 1}), {"type": "content_block_stop", "index": 0}
    )
    assert events[1] == ArgumentsDelta(0, '{"a":1}')


def test_calls_are_numbered_by_their_order():
    events = told(
        begun(0, type="text", text=""),
        begun(3, type="tool_use", id="a", name="f", input={}),
        begun(7, type="tool_use", id="b", name="g", input={}),
        delta(7, type="input_json_delta", partial_json="{}"),
    )
    assert [event.call for event in events if not isinstance(event, Failed)] == [0, 1, 1]


def test_our_answer_tool_is_text():
    events = told(
        begun(0, type="tool_use", id="t", name=answer_tool.NAME, input={}),
        delta(0, type="input_json_delta", partial_json='{"a":'),
        delta(0, type="input_json_delta", partial_json="1}"),
        {"type": "content_block_stop", "index": 0},
        ended("tool_use"),
        STOP,
    )
    assert events[:3] == [TextDelta('{"a":'), TextDelta("1}"), Finished(Finish.STOP)]


def test_pings_and_what_is_new_are_skipped():
    events = told(
        {"type": "ping"},
        {"type": "new_event"},
        begun(0, type="server_tool_use", id="s", name="web_search", input={}),
        delta(0, type="input_json_delta", partial_json="{}"),
        delta(0, type="new_delta"),
        {"type": "content_block_stop", "index": 0},
        ended("end_turn"),
        STOP,
    )
    assert [type(event) for event in events] == [Finished, UsageTold]


def test_sources_on_the_web():
    citation = {"type": "web_search_result_location", "url": "https://a.example", "title": "A"}
    events = told(
        delta(0, type="text_delta", text="a"),
        delta(0, type="citations_delta", citation=citation),
        delta(0, type="citations_delta", citation={"type": "page_location"}),
    )
    assert events[:2] == [TextDelta("a"), Cited(Citation("https://a.example", "A"))]
    assert len(events) == 3


def test_an_error_in_the_stream():
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Busy"}}
    events = told(delta(0, type="text_delta", text="a"), error, delta(0, type="text_delta", text="b"), STOP)
    failed = events[-1]
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, UpstreamError)
    assert (failed.error.cause, len(events)) == ("overloaded", 2)


@pytest.mark.parametrize("name", ["one tool", "thinking"])
def test_a_stream_that_is_cut_fails_wherever_it_is_cut(name):
    whole = golden(name, "stream")
    end = whole.index(b"event: message_stop")
    for at in range(0, end, 7):
        failed = decoded(MessagesDecoder(), [whole[:at]])
        assert isinstance(failed[-1], Failed)
        assert isinstance(failed[-1].error, BrokenAnswer)
        assert not any(isinstance(event, Failed) for event in failed[:-1])


TOO_LONG = b"data: " + b"x" * (24 * 1024 * 1024 + 1)


@pytest.mark.parametrize("stream", [sse(STOP), b"data: [DONE]\n\n", TOO_LONG], ids=["stop", "done", "long"])
def test_what_is_no_stream_of_anthropics_fails_once(stream):
    (failed,) = decoded(MessagesDecoder(), [stream, sse(START)])
    assert isinstance(failed.error, BrokenAnswer)


def test_an_end_is_told_once():
    events = told(ended(output_tokens=1), ended("max_tokens", output_tokens=2), {"type": "message_delta"}, STOP)
    assert [type(event) for event in events] == [Finished, UsageTold, UsageTold]
    assert events[0] == Finished(Finish.STOP)


def test_an_end_without_a_reason_is_one():
    assert told(STOP) == [Finished(Finish.STOP)]


@pytest.mark.parametrize(
    "event",
    [
        {"type": "content_block_delta", "index": 0},
        {"type": "content_block_delta", "index": [], "delta": {"type": "input_json_delta", "partial_json": "x"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": None}},
        {"type": "content_block_delta", "index": 0, "delta": "x"},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "name": 1}},
        {"type": "message_delta", "delta": 1},
        {"type": "message_delta", "usage": {"output_tokens": -1}},
        {"type": "error", "error": 5},
        {"type": []},
        [],
        None,
        "x",
    ],
)
def test_what_cannot_be_read_fails_once(event):
    stream = sse(START) + b"data: " + json.dumps(event).encode() + b"\n\n" + sse(delta(0, type="text_delta", text="b"))
    events = decoded(MessagesDecoder(), [stream, sse(STOP)])
    assert sum(isinstance(found, Failed) for found in events) == (0 if event == {"type": []} else 1)


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(["one tool", "thinking", "refusal", "cache"]), st.data())
def test_hostile_bytes_never_raise(name, data):
    stream = bytearray(golden(name, "stream"))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(stream) - 1))
        new = data.draw(st.sampled_from([b"", b"null", b'"', b"{", b"-1", b"\xff", b"\n\n", b'"type":"error"']))
        stream[at : at + data.draw(st.integers(0, 8))] = new
    events = decoded(MessagesDecoder(), [bytes(stream)])
    failures = [number for number, event in enumerate(events) if isinstance(event, Failed)]
    assert failures in ([], [len(events) - 1])
