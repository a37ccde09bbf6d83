"""Streams of Converse: every way in which one may go on, break off or lie."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmauth.chat.events import (
    ArgumentsDelta,
    CallStarted,
    Cited,
    Failed,
    Finished,
    RedactedThinking,
    Started,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    UsageTold,
)
from llmauth.chat.messages import Citation, Finish, Signature, Usage
from llmauth.codecs.converse.names import ANSWER
from llmauth.demo import eventstream
from llmauth.errors import BrokenAnswer, UpstreamError
from tests.golden.streams import decoded, same_under_every_split
from tests.llmauth.codecs.converse.goldens import CASES, events_of, frames, provider, stream_of

STOP = ("messageStop", {"stopReason": "end_turn"})


def text(words, index=0):
    return "contentBlockDelta", {"contentBlockIndex": index, "delta": {"text": words}}


def call(index, name, **more):
    use = {"toolUseId": f"t{index}", "name": name, **more}
    return "contentBlockStart", {"contentBlockIndex": index, "start": {"toolUse": use}}


def arguments(index, written):
    return "contentBlockDelta", {"contentBlockIndex": index, "delta": {"toolUse": {"input": written}}}


def reasoning(**delta):
    return "contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": delta}}


def events(*told):
    return decoded(provider().stream_decoder(), [frames(*told)])


def failure(found):
    assert isinstance(found[-1], Failed)
    assert sum(isinstance(event, Failed) for event in found) == 1
    return found[-1].error


def test_words_then_the_end_then_the_bill():
    usage = {"usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}, "metrics": {"latencyMs": 1}}
    assert events(("messageStart", {"role": "assistant"}), text("Hel"), text("lo"), STOP, ("metadata", usage)) == [
        Started(),
        TextDelta("Hel"),
        TextDelta("lo"),
        Finished(Finish.STOP),
        UsageTold(Usage(input=3, output=2)),
    ]


def test_calls_are_numbered_as_they_begin_and_told_apart_by_block():
    found = events(
        text("a", 0), call(1, "x"), call(2, "y"), arguments(2, '{"b":'), arguments(1, "{}"), arguments(2, "2}"), STOP
    )
    assert found[2:-1] == [
        CallStarted(0, "t1", "x"),
        CallStarted(1, "t2", "y"),
        ArgumentsDelta(1, '{"b":'),
        ArgumentsDelta(0, "{}"),
        ArgumentsDelta(1, "2}"),
    ]


def test_thinking():
    found = events(reasoning(text="Hm."), reasoning(signature="s"), reasoning(redactedContent="cg=="), STOP)
    assert found[1:-1] == [
        ThinkingDelta("Hm."),
        ThinkingSigned(Signature("anthropic", "s")),
        RedactedThinking(Signature("anthropic", "cg==")),
    ]


def test_sources():
    source = {"title": "A page", "location": {"web": {"url": "https://example.com"}}}
    found = events(text("a"), ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"citation": source}}), STOP)
    assert found[2] == Cited(Citation("https://example.com", "A page"))


def test_what_is_no_part_of_an_answer_is_skipped():
    found = events(
        ("next year", {"a": 1}),
        ("contentBlockStart", {"contentBlockIndex": 0, "start": {"image": {"format": "png"}}}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"image": {}}}),
        call(1, "nova_grounding", type="server_tool_use"),
        arguments(1, "{}"),
        ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"next year": 1}, "p": "abc"}),
        text(""),
        text("a"),
        ("contentBlockStop", {"contentBlockIndex": 0}),
        STOP,
        text("too late"),
        STOP,
    )
    assert found == [Started(), TextDelta("a"), Finished(Finish.STOP)]


def test_the_tool_that_stands_for_the_answer_is_text():
    found = events(
        call(0, ANSWER), arguments(0, '{"a"'), arguments(0, ":1}"), ("messageStop", {"stopReason": "tool_use"})
    )
    assert found == [Started(), TextDelta('{"a"'), TextDelta(":1}"), Finished(Finish.STOP)]


def test_malformed_is_a_warning_if_anything_came_and_a_failure_if_not():
    malformed = ("messageStop", {"stopReason": "malformed_model_output"})
    assert events(text("a"), malformed)[-1] == Finished(Finish.MALFORMED)
    assert "malformed" in failure(events(malformed)).message


@pytest.mark.parametrize(
    ("name", "cause", "status"),
    [
        ("throttlingException", "rate_limited", 429),
        ("modelStreamErrorException", "server", 500),
        ("serviceUnavailableException", "overloaded", 503),
        ("validationException", "invalid_request", 400),
        ("internalServerException", "server", 500),
    ],
)
def test_an_exception_ends_the_stream_with_the_words_of_aws(name, cause, status):
    data = frames(text("a")) + eventstream.exception(name, b'{"message":"m"}') + frames(text("b"), STOP)
    found = same_under_every_split(provider().stream_decoder, data)
    error = failure(found)
    assert isinstance(error, UpstreamError)
    assert (error.cause, error.status, error.message) == (cause, status, "m")
    assert found[:-1] == [Started(), TextDelta("a")]


def test_an_error_frame_tells_in_its_headers():
    headers = ((":message-type", "error"), (":error-code", "throttlingException"), (":error-message", "Slow down."))
    error = failure(decoded(provider().stream_decoder(), [eventstream.encode(headers, b"")]))
    assert (error.cause, error.message) == ("rate_limited", "Slow down.")


@pytest.mark.parametrize("case", ["text", "parallel tools", "thinking"])
def test_a_stream_that_is_cut_anywhere_fails_once(case):
    whole = stream_of(case)
    bill = frames_before_metadata(whole)
    for length in range(len(whole)):
        found = decoded(provider().stream_decoder(), [whole[:length]])
        if length == bill:
            assert isinstance(found[-1], Finished)  # the usage is missing, and nothing else
        else:
            assert isinstance(failure(found), BrokenAnswer)


def frames_before_metadata(whole: bytes) -> int:
    at = found = 0
    while at < len(whole):
        found, at = at, at + int.from_bytes(whole[at : at + 4], "big")
    return found


def test_any_byte_that_is_wrong_is_found():
    whole = stream_of("one tool")
    for at in range(0, len(whole), 3):
        broken = bytearray(whole)
        broken[at] ^= 0x40
        found = decoded(provider().stream_decoder(), [bytes(broken)])
        assert isinstance(failure(found), BrokenAnswer)


@pytest.mark.parametrize(
    "told",
    [
        ("contentBlockDelta", None),
        ("contentBlockDelta", []),
        ("contentBlockDelta", {}),
        ("contentBlockDelta", {"delta": None}),
        ("contentBlockDelta", {"delta": {"text": 1}}),
        ("contentBlockDelta", {"delta": {"toolUse": {"input": "{}"}}}),
        ("contentBlockDelta", {"contentBlockIndex": 9, "delta": {"toolUse": {"input": "{}"}}}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"toolUse": {"input": {}}}}),
        ("contentBlockDelta", {"delta": {"reasoningContent": {"text": []}}}),
        ("contentBlockStart", {"contentBlockIndex": -1, "start": {}}),
        ("contentBlockStart", {"contentBlockIndex": 1e400, "start": {}}),
        ("contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "t"}}}),
        ("messageStop", "end_turn"),
        ("messageStop", {"stopReason": 7}),
        ("metadata", {"usage": {"inputTokens": "many"}}),
    ],
    ids=range(15),
)
def test_an_event_that_cannot_be_read_is_a_failure(told):
    assert isinstance(failure(events(told, STOP)), BrokenAnswer)


@pytest.mark.parametrize("payload", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5000])
def test_a_payload_that_is_no_json_is_a_failure(payload):
    data = eventstream.event("contentBlockDelta", payload)
    assert isinstance(failure(decoded(provider().stream_decoder(), [data])), BrokenAnswer)


def test_it_is_deaf_after_a_failure_and_after_its_end():
    decoder = provider().stream_decoder()
    failure(decoder.feed(eventstream.exception("throttlingException", b"{}")))
    assert decoder.feed(frames(text("a"), STOP)) == decoder.close() == []
    decoder = provider().stream_decoder()
    assert decoder.feed(frames(STOP)) == [Started(), Finished(Finish.STOP)]
    assert decoder.close() == decoder.feed(frames(text("a"))) == decoder.close() == []


def test_an_empty_body_is_no_stream():
    assert isinstance(failure(decoded(provider().stream_decoder(), [])), BrokenAnswer)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KINDS = st.sampled_from(["messageStart", "contentBlockStart", "contentBlockDelta", "messageStop", "metadata"])
WORDS = st.sampled_from(
    ["delta", "start", "text", "toolUse", "input", "reasoningContent", "signature", "contentBlockIndex", "usage", "p"]
)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.tuples(KINDS, st.dictionaries(WORDS, st.dictionaries(WORDS, JSON, max_size=3) | JSON, max_size=3)),
        max_size=4,
    )
)
def test_whatever_comes_at_most_one_failure_and_nothing_after_it(told):
    found = decoded(provider().stream_decoder(), [frames(*told)])
    failed = [event for event in found if isinstance(event, Failed)]
    assert len(failed) <= 1
    assert not failed or found[-1] is failed[0]
    assert sum(isinstance(event, Started) for event in found) <= 1


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(CASES)), st.data())
def test_a_golden_stream_with_another_value_somewhere(case, data):
    whole = [json.loads(json.dumps(event)) for event in events_of(case)]
    payload = data.draw(st.sampled_from(whole))[1]
    payload[data.draw(st.sampled_from(sorted(payload)))] = data.draw(JSON)
    found = decoded(provider().stream_decoder(), [frames(*map(tuple, whole))])
    assert sum(isinstance(event, Failed) for event in found) <= 1
