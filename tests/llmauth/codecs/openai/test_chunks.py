"""Streams of many servers, and of none: bytes that end early, or are no stream at all."""

import json

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
    LogprobsDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    UsageTold,
)
from llmauth.chat.messages import Citation, Finish, Signature, Usage
from llmauth.codecs.openai.answers import synthetic_id
from llmauth.codecs.openai.chunks import ChatStreamDecoder
from llmauth.errors import BrokenAnswer, UpstreamError
from tests.golden.streams import decoded, same_under_every_split
from tests.llmauth.codecs.openai.samples import CASES, GOLDEN

DONE = "[DONE]"
END = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


def stream(*chunks):
    told = [chunk if isinstance(chunk, str) else json.dumps(chunk) for chunk in chunks]
    return "".join(f"data: {text}\n\n" for text in told).encode()


def delta(**members):
    return {"id": "x", "model": "m", "choices": [{"index": 0, "delta": members, "finish_reason": None}]}


def events_of(*chunks, **options):
    return decoded(ChatStreamDecoder(**options), [stream(*chunks)])


def said(*deltas, finish="stop"):
    """The events between the start and the end."""
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}
    first, *events = events_of(*(delta(**told) for told in deltas), end, DONE)
    assert first == Started("x", "m")
    assert isinstance(events[-1], Finished)
    return events[:-1]


def failed(*chunks, **options):
    events = events_of(*chunks, **options)
    assert [event for event in events if isinstance(event, Failed)] == events[-1:]
    return events[-1].error


def test_a_stream_of_azure_begins_with_no_choices():
    filters = {"id": "", "model": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]}
    later = {
        "id": "x",
        "model": "m",
        "choices": [{"index": 0, "delta": {"content": "a"}, "content_filter_results": {}}],
    }
    events = same_under_every_split(ChatStreamDecoder, stream(filters, later, END, DONE))
    assert events == [Started("x", "m"), TextDelta("a"), Finished(Finish.STOP)]


def test_usage_whenever_it_is_told():
    told = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    events = events_of(
        {**delta(content="a"), "usage": None}, {**END, "usage": told}, {"choices": [], "usage": told}, DONE
    )
    assert [event for event in events if isinstance(event, UsageTold)] == [UsageTold(Usage(input=3, output=2))] * 2


def test_two_choices():
    other = {"choices": [{"index": 1, "delta": {"content": "b"}, "finish_reason": "length"}]}
    events = events_of(delta(content="a"), other, END, DONE)
    assert events[1:] == [
        TextDelta("a"),
        TextDelta("b", 1),
        Finished(Finish.LENGTH, None, 1),
        Finished(Finish.STOP),
    ]


def test_what_a_choice_says_after_its_end_is_not_heard():
    assert collect(events_of(delta(content="a"), END, delta(content="b"), END, DONE)).choices[0].parts[0].text == "a"


def test_thoughts_come_before_the_text_of_their_chunk():
    assert said({"role": "assistant", "content": "b", "reasoning_content": "a"}) == [ThinkingDelta("a"), TextDelta("b")]
    assert said({"content": None, "reasoning": "a"}) == [ThinkingDelta("a")]


def test_a_block_repeats_what_was_told_and_signs_it():
    signed = {"type": "thinking", "thinking": "ab", "signature": "s"}
    end = ThinkingSigned(Signature("openai", "s"))
    assert said({"reasoning_content": "a"}, {"reasoning_content": "b"}, {"thinking_blocks": [signed]}) == [
        ThinkingDelta("a"),
        ThinkingDelta("b"),
        end,
    ]
    assert said({"thinking_blocks": [signed]}) == [ThinkingDelta("ab"), end]
    pieces = [
        {"reasoning_content": text, "thinking_blocks": [{"type": "thinking", "thinking": text, "signature": None}]}
        for text in "ab"
    ]
    last = {"thinking_blocks": [{"type": "thinking", "thinking": "", "signature": "s"}]}
    assert said(*pieces, last) == [ThinkingDelta("a"), ThinkingDelta("b"), end]


def call(index=None, **members):
    return {"tool_calls": [members if index is None else {"index": index, **members}]}


def test_calls_are_numbered_as_they_begin():
    events = said(
        call(2, id="c", function={"name": "f", "arguments": ""}),
        call(2, function={"arguments": "{}"}),
        call(5, id="d", function={"name": "g", "arguments": "[]"}),
    )
    assert events == [
        CallStarted(0, "c", "f"),
        ArgumentsDelta(0, "{}"),
        CallStarted(1, "d", "g"),
        ArgumentsDelta(1, "[]"),
    ]


@pytest.mark.parametrize("index", [0, None], ids=["one index for all", "no index"])
def test_calls_that_only_their_ids_tell_apart(index):
    events = said(
        call(index, id="c", function={"name": "f", "arguments": "{"}),
        call(index, id="c", function={"name": "f", "arguments": "}"}),
        call(index, id="d", function={"name": "f", "arguments": "{}"}),
    )
    assert [event.call for event in events if isinstance(event, CallStarted)] == [0, 1]
    assert [(event.call, event.json) for event in events if isinstance(event, ArgumentsDelta)] == [
        (0, "{"),
        (0, "}"),
        (1, "{}"),
    ]


def test_a_call_without_an_id_gets_one():
    assert said(call(0, function={"name": "f", "arguments": "{}"}))[0] == CallStarted(
        0, synthetic_id("x/0", 0, "f"), "f"
    )


def test_the_signature_of_a_call():
    extra = {"google": {"thought_signature": "s"}}
    told = call(0, id="c", function={"name": "f"}, extra_content=extra)
    assert said(told)[0] == CallStarted(0, "c", "f", Signature("openai", "s"))
    assert events_of(delta(**told), END, DONE, family="gemini")[1].signature == Signature("gemini", "s")


def test_the_words_of_2023():
    events = said({"function_call": {"name": "f", "arguments": "{"}}, {"function_call": {"arguments": "}"}})
    assert [type(event) for event in events] == [CallStarted, ArgumentsDelta, ArgumentsDelta]


def test_an_end_with_calls_or_a_refusal_says_so():
    assert events_of(delta(**call(0, id="c", function={"name": "f"})), END, DONE)[-1] == Finished(Finish.TOOL_CALLS)
    events = events_of(delta(refusal="No."), END, DONE)
    assert events[1:] == [RefusalDelta("No."), Finished(Finish.REFUSAL)]


def test_sources_and_log_probabilities():
    annotation = {"type": "url_citation", "url_citation": {"url": "https://e.com", "start_index": 0, "end_index": 1}}
    assert said({"annotations": [annotation]}) == [Cited(Citation("https://e.com", "", 0, 1))]
    chunk = delta(content="a")
    chunk["choices"][0]["logprobs"] = {"content": [{"token": "a", "logprob": -1}]}
    token = {"token": "a", "logprob": -1, "bytes": None, "top_logprobs": []}
    assert events_of(chunk, END, DONE)[1:3] == [TextDelta("a"), LogprobsDelta((token,))]


def test_what_is_not_known_is_skipped():
    assert said({"content": "", "audio": {"id": "a"}, "new": 3}, {"content": [{"type": "new"}]}) == []


@pytest.mark.parametrize(
    "chunks",
    [
        [],
        [delta(content="a")],
        [delta(content="a"), END],
        [delta(content="a"), DONE],
        [delta(content="a"), {"choices": [{"index": 1, "delta": {"content": "b"}}]}, END, DONE],
        [DONE],
        [{"choices": []}, DONE],
    ],
    ids=str,
)
def test_a_stream_without_its_end_was_cut(chunks):
    assert isinstance(failed(*chunks), BrokenAnswer)


def test_where_no_last_word_is_due_the_reason_is_end_enough():
    assert events_of(delta(content="a"), END, done_required=False)[-1] == Finished(Finish.STOP)
    assert isinstance(failed(delta(content="a"), done_required=False), BrokenAnswer)


def test_nothing_is_heard_after_the_end():
    decoder = ChatStreamDecoder()
    decoder.feed(stream(delta(content="a"), END, DONE))
    assert decoder.feed(stream(delta(content="b"))) == decoder.close() == []


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        ({"message": "m", "type": "server_error", "code": None}, "server"),
        ({"message": "m", "code": "rate_limit_exceeded"}, "rate_limited"),
        ({"message": "m", "code": 503}, "overloaded"),
        ({"message": "m", "code": "429"}, "rate_limited"),
        ("m", "server"),
    ],
    ids=str,
)
def test_a_failure_told_in_the_stream(error, cause):
    problem = failed(delta(content="a"), {"error": error}, delta(content="b"), DONE)
    assert (problem.cause, problem.message) == (cause, "m")


def test_an_event_called_error_is_a_failure():
    body = stream(delta(content="a")) + b'event: error\ndata: {"errors": [{"code": "x", "message": "m"}]}\n\n'
    seen = []

    def failure(told):
        seen.append(told)
        return UpstreamError("mine")

    events = decoded(ChatStreamDecoder(failure=failure), [body])
    assert isinstance(events[-1], Failed)
    assert seen == [{"errors": [{"code": "x", "message": "m"}]}]


@pytest.mark.parametrize(
    "chunk",
    [
        "nonsense",
        "[]",
        "3",
        "[" * 10_000,
        {"choices": {"a": 1}},
        {"choices": [3]},
        {"choices": [{"index": -1, "delta": {}}]},
        {"choices": [{"index": 10**9, "delta": {}}]},
        {"choices": [{"index": [0], "delta": {}}]},
        {"choices": [{"index": 0, "delta": "a"}]},
        {"choices": [{"index": 0, "delta": {"reasoning_content": 3}}]},
        {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0}]}}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": ["stop"]}]},
        {"choices": [], "usage": {"prompt_tokens": "many"}},
    ],
    ids=lambda chunk: str(chunk)[:60],
)
def test_a_broken_chunk_ends_the_stream(chunk):
    error = failed(delta(content="a"), chunk, END, DONE)
    assert isinstance(error, BrokenAnswer)
    assert len(error.message) < 200


def test_an_id_that_is_no_text_ends_the_stream():
    assert isinstance(failed({"id": 3, "choices": [{}]}, END, DONE), BrokenAnswer)


def test_arguments_of_a_call_that_is_over_end_the_stream():
    """Formats that write one block after the other cannot go back to the one before."""
    calls = [delta(**call(number, id=f"c{number}", function={"name": "f"})) for number in (0, 1)]
    late = delta(**call(0, function={"arguments": "{}"}))
    assert isinstance(failed(*calls, late, END, DONE), BrokenAnswer)
    assert isinstance(failed(calls[0], delta(content="a"), late, END, DONE), BrokenAnswer)


def test_an_endless_event_ends_the_stream():
    decoder = ChatStreamDecoder()
    events = []
    for _ in range(30):
        events += decoder.feed(b"data: " + b"a" * 1_000_000)
    assert [type(event) for event in events] == [Failed]


def test_calls_without_end_end_the_stream():
    chunks = [delta(**call(number, id=f"c{number}", function={"name": "f"})) for number in range(200)]
    assert isinstance(failed(*chunks, END, DONE), BrokenAnswer)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.sampled_from(sorted(CASES)), st.integers(0, 10_000), st.integers(0, 60), st.binary(max_size=8))
def test_hostile_bytes_end_in_one_failure_or_none(name, place, length, bytes_instead):
    body = (GOLDEN / f"{name}.stream").read_bytes()
    place %= len(body)
    events = decoded(ChatStreamDecoder(), [body[:place] + bytes_instead + body[place + length :]])
    failures = [event for event in events if isinstance(event, Failed)]
    assert failures in ([], events[-1:])
    collect(events)
