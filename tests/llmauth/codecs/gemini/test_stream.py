"""Streams: the golden ones under every split, and those that break."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmauth.chat.collecting import collect
from llmauth.chat.events import Failed, Finished, Started, TextDelta, UsageTold
from llmauth.chat.messages import Finish
from llmauth.codecs.gemini.stream import GeminiDecoder
from llmauth.errors import BrokenAnswer, GatewayError, UpstreamError
from tests.golden.gemini import text_of
from tests.golden.streams import decoded, same_under_every_split
from tests.llmauth.codecs.gemini.test_response import CASES, mutated, wanted


def stream(*chunks):
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n" for chunk in chunks)


def told(*parts, **more):
    return {"candidates": [{"content": {"role": "model", "parts": list(parts)}, **more}]}


def events_of(*chunks):
    return decoded(GeminiDecoder(), [stream(*chunks)])


@pytest.mark.parametrize("name", CASES)
def test_golden(name):
    data = text_of(f"{name}.stream").encode()
    assert collect(same_under_every_split(GeminiDecoder, data)) == wanted(name)
    assert collect(decoded(GeminiDecoder(), [data.replace(b"\n", b"\r\n")])) == wanted(name)


def test_events_come_with_the_chunk_that_tells_them():
    decoder = GeminiDecoder()
    first = {**told({"text": "a"}, {"text": "b"}), "responseId": "r", "modelVersion": "m"}
    assert decoder.feed(stream(first)) == [Started("r", "m"), TextDelta("a"), TextDelta("b")]
    assert decoder.feed(stream(told({"text": "c"}, finishReason="STOP"))) == [TextDelta("c")]
    assert decoder.close() == [Finished(Finish.STOP)]


def test_models_that_say_stop_in_every_chunk():
    call = {"functionCall": {"name": "f", "args": {}}}
    events = events_of(told({"text": "a"}, finishReason="STOP"), told(call, finishReason="STOP"))
    assert [event.finish for event in events if isinstance(event, Finished)] == [Finish.TOOL_CALLS]
    assert isinstance(events[-1], Finished)


def test_a_reason_stands_though_more_comes_after_it():
    events = events_of(told({"text": "a"}, finishReason="MAX_TOKENS"), told({"text": "", "thoughtSignature": "c2ln"}))
    assert events[-1] == Finished(Finish.LENGTH)


def test_usage_is_told_again_when_it_changed():
    counts = [{"promptTokenCount": 5}, {"promptTokenCount": 5}, {"promptTokenCount": 5, "candidatesTokenCount": 2}]
    events = events_of(*({**told({"text": "a"}, finishReason="STOP"), "usageMetadata": count} for count in counts))
    assert [event.usage.output for event in events if isinstance(event, UsageTold)] == [0, 2]


def test_a_prompt_that_is_blocked():
    events = events_of({"promptFeedback": {"blockReason": "SAFETY"}, "responseId": "r"})
    assert events == [Started("r"), Finished(Finish.CONTENT_FILTER)]


def failure(events, cls):
    """The error of a stream that ends in one."""
    assert isinstance(events[-1], Failed)
    assert type(events[-1].error) is cls
    return events[-1].error


@pytest.mark.parametrize("data", [b": hello\n\n", stream(told({"text": "a"})), b'{"candidates": []}', stream({})])
def test_a_stream_that_is_cut(data):
    error = failure(same_under_every_split(GeminiDecoder, data), BrokenAnswer)
    assert error.message == "The stream of Gemini ended before its end."


def test_a_stream_of_nothing_at_all():
    assert failure(GeminiDecoder().close(), BrokenAnswer).code == "provider_answer_broken"


def test_one_of_two_choices_that_is_not_finished():
    two: list[dict[str, Any]] = [{"index": index, "content": {"parts": [{"text": "a"}]}} for index in (0, 1)]
    two[1]["finishReason"] = "STOP"
    assert isinstance(events_of({"candidates": two})[-1], Failed)


@pytest.mark.parametrize("listed", [False, True])
def test_an_error_within_the_stream(listed):
    error = {"error": {"code": 429, "message": "Quota.", "status": "RESOURCE_EXHAUSTED"}}
    data = stream(told({"text": "a"}), [error] if listed else error, told({"text": "b"}, finishReason="STOP"))
    events = same_under_every_split(GeminiDecoder, data)
    error = failure(events, UpstreamError)
    assert (error.message, error.cause) == ("Quota.", "rate_limited")
    assert events[:-1] == [Started(), TextDelta("a")]


@pytest.mark.parametrize("bad", [b"data: {\n\n", b"data: 3\n\n", b"data: [DONE]\n\n", b'data: {"candidates": 3}\n\n'])
def test_what_is_no_chunk_fails_once_and_for_all(bad):
    decoder = GeminiDecoder()
    events = decoder.feed(stream(told({"text": "a"})) + bad + bad)
    assert [type(event) for event in events] == [Started, TextDelta, Failed]
    assert decoder.feed(stream(told({"text": "b"}))) == []
    assert decoder.close() == []


def test_an_event_without_end_fails():
    decoder = GeminiDecoder()
    piece = b"x" * 2**20
    events = decoder.feed(b"data: ")
    for _ in range(30):
        events += decoder.feed(piece)
    assert [type(event) for event in events] == [Failed]


def judge(events):
    """What holds of every stream: one failure at most and at the end, and nothing unfinished without it."""
    failed = [place for place, event in enumerate(events) if isinstance(event, Failed)]
    assert failed in ([], [len(events) - 1])
    if failed:
        assert isinstance(events[-1].error, GatewayError)
    collect(event for event in events if not isinstance(event, Failed))


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(list(CASES)),
    st.integers(0, 9),
    st.lists(st.integers(0, 9), max_size=8),
    st.sampled_from([None, True, -1, 1e400, "", "x", [], {}, [None], "\ud800"]),
)
def test_hostile_values_fail_as_designed(name, number, path, new):
    lines = [line[6:] for line in text_of(f"{name}.stream").splitlines() if line]
    chunks = [json.loads(line) for line in lines]
    chunks[number % len(chunks)] = mutated(chunks[number % len(chunks)], path, new)
    judge(events_of(*chunks))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(list(CASES)), st.integers(0, 5000), st.binary(max_size=6))
def test_hostile_bytes_fail_as_designed(name, place, inserted):
    data = text_of(f"{name}.stream").encode()
    place %= len(data)
    judge(decoded(GeminiDecoder(), [data[:place] + inserted + data[place:]]))
    judge(decoded(GeminiDecoder(), [data[:place]]))


def test_plain_text_is_decoded_fast():
    usage = {"trafficType": "ON_DEMAND", "promptTokenCount": 9, "totalTokenCount": 9}
    chunk = {**told({"text": "word "}, index=0), "usageMetadata": usage, "modelVersion": "m", "responseId": "r"}
    pieces = [stream(chunk)] * 2000
    began = time.process_time()
    decoded(GeminiDecoder(), pieces)
    assert time.process_time() - began < 0.5, "more than 25 ms for 100 chunks: the fast path is gone"
