"""What a client of Messages reads of a stream, whatever order its provider told it in."""

import json
import time
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
    LogprobsDelta,
    RefusalDelta,
    Started,
    TextDelta,
    TextSigned,
    ThinkingDelta,
    ThinkingSigned,
    UsageTold,
)
from llmauth.chat.messages import Citation, Finish, Reasoning, Signature, Usage
from llmauth.codecs.anthropic.encoding import MessagesEncoder
from llmauth.codecs.anthropic.stream import MessagesDecoder
from llmauth.codecs.base import Answering
from llmauth.errors import BrokenAnswer, UpstreamError
from tests.golden.cases import asked, cases, user
from tests.golden.streams import decoded
from tests.llmauth.codecs.anthropic.golden import events as events_of
from tests.llmauth.codecs.anthropic.golden import golden

CASES = [name for name in cases() if name != "content filter"]


def encoder(reasoning=None):
    return MessagesEncoder(Answering(id="1", created=0, model="m", request=asked(user("Hi"), reasoning=reasoning)))


def written(*events, reasoning=None, close=True):
    coder = encoder(reasoning)
    data = b"".join(map(coder.encode, events))
    found = events_of(data + (coder.close() if close else b""))
    assert_legal(found)
    return found


def assert_legal(found):
    """One block open at a time, numbered from 0; a beginning first, and nothing after the end."""
    names = [event["type"] for event in found]
    if names and names != ["error"]:
        assert names[0] == "message_start"
    assert "message_start" not in names[1:]
    for last in ("message_stop", "error"):
        assert last not in names[:-1]
    open_block, count = None, 0
    for event in found:
        if event["type"] == "content_block_start":
            assert (open_block, event["index"]) == (None, count)
            open_block, count = event["index"], count + 1
        elif event["type"] in ("content_block_delta", "content_block_stop"):
            assert event["index"] == open_block
            open_block = None if event["type"] == "content_block_stop" else open_block
        elif event["type"] == "message_delta":
            assert open_block is None


def read_back(found):
    data = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in found)
    return collect(decoded(MessagesDecoder(), [data]))


@pytest.mark.parametrize("name", CASES)
def test_golden_streams_come_out_as_they_went_in(name):
    coder = encoder()
    events = decoded(MessagesDecoder(), [golden(name, "stream")])
    found = events_of(b"".join(map(coder.encode, events)) + coder.close())
    assert_legal(found)
    assert replace(read_back(found), id="", model="") == cases()[name].response
    assert found[0]["message"]["id"] == "msg_1"
    assert found[0]["message"]["usage"]["input_tokens"] == cases()[name].response.usage.input


def test_the_beginning_waits_for_one_event_only():
    coder = encoder()
    assert coder.encode(Started("i", "m")) == b""
    assert coder.encode(TextDelta("a")).startswith(b"event: message_start")


def test_the_end_waits_for_the_usage_behind_it():
    coder = encoder()
    coder.encode(TextDelta("a"))
    assert b"message_delta" not in coder.encode(Finished(Finish.STOP))
    told = events_of(coder.encode(UsageTold(Usage(input=3, cache_read=2, output=9))))
    assert told[0]["usage"] == {
        "input_tokens": 3,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 2,
        "output_tokens": 9,
    }
    assert [event["type"] for event in events_of(coder.close())] == ["message_stop"]


def test_without_usage_the_end_comes_with_the_close():
    found = written(Started(), TextDelta("a"), UsageTold(Usage(output=4)), Finished(Finish.LENGTH))
    assert [event["type"] for event in found[-2:]] == ["message_delta", "message_stop"]
    assert found[-2]["usage"]["output_tokens"] == 4


def test_an_answer_of_nothing():
    assert [event["type"] for event in written(Started(), Finished(Finish.STOP))] == [
        "message_start",
        "message_delta",
        "message_stop",
    ]


def test_a_failure_is_the_last_word():
    coder = encoder()
    coder.encode(TextDelta("a"))
    error = UpstreamError("Busy", cause="overloaded")
    told = events_of(coder.encode(Failed(error)))
    assert told == [
        {
            "type": "error",
            "error": {"type": "overloaded_error", "message": "Busy", "details": {"error_code": "overloaded"}},
        }
    ]
    assert coder.encode(TextDelta("b")) + coder.encode(Finished(Finish.STOP)) + coder.close() == b""


def test_a_close_without_an_end_is_an_error_and_no_stop():
    assert written(TextDelta("a"))[-1]["type"] == "error"


def test_a_failure_after_the_end_was_held_back():
    found = written(TextDelta("a"), Finished(Finish.STOP), Failed(BrokenAnswer("cut")))
    assert found[-1]["type"] == "error"


CALLS = (CallStarted(0, "a", "f"), CallStarted(1, "b", "g"))


def test_interleaved_arguments_are_lossless():
    found = written(
        *CALLS,
        ArgumentsDelta(0, '{"x":'),
        ArgumentsDelta(1, '{"y":'),
        ArgumentsDelta(0, "1}"),
        ArgumentsDelta(1, "2}"),
        Finished(Finish.TOOL_CALLS),
    )
    assert [part.arguments for part in read_back(found).choices[0].parts] == ['{"x":1}', '{"y":2}']


def test_a_call_that_is_complete_does_not_hold_up_the_next():
    coder = encoder()
    for event in (CALLS[0], ArgumentsDelta(0, '{"x":1}')):
        coder.encode(event)
    assert b'"name":"g"' in coder.encode(CALLS[1])
    assert b"partial_json" in coder.encode(ArgumentsDelta(1, "{"))


def test_text_behind_an_incomplete_call_waits():
    found = written(CALLS[0], TextDelta("a"), ArgumentsDelta(0, "{}"), TextDelta("b"), Finished(Finish.TOOL_CALLS))
    assert [getattr(part, "text", "call") for part in read_back(found).choices[0].parts] == ["call", "ab"]


def test_a_refusal_stands_in_the_end():
    found = written(RefusalDelta("I "), RefusalDelta("cannot."), Finished(Finish.STOP))
    assert found[-2]["delta"]["stop_reason"] == "refusal"
    assert found[-2]["delta"]["stop_details"]["explanation"] == "I cannot."


def test_signatures_of_others():
    foreign = Signature("gemini", "Zw==")
    found = written(
        ThinkingDelta("t"),
        ThinkingSigned(foreign),
        CallStarted(0, "a", "f", foreign),
        ArgumentsDelta(0, "{}"),
        TextDelta("x"),
        TextSigned(foreign),
        Finished(Finish.TOOL_CALLS),
    )
    kinds = [event["content_block"]["type"] for event in found if event["type"] == "content_block_start"]
    assert kinds == ["thinking", "redacted_thinking", "tool_use", "text", "redacted_thinking"]
    data = [event["content_block"].get("data") for event in found if event["type"] == "content_block_start"]
    assert data[1] == "llmauth.gemini.call.Zw=="
    assert data[4] == "llmauth.gemini.text.Zw=="


def test_arguments_that_are_complete_are_looked_at_once_while_nothing_is_written():
    coder = encoder(Reasoning("low", shown=False))
    arguments = json.dumps([1] * 50_000)
    for event in (Started(), CallStarted(0, "c", "f"), ArgumentsDelta(0, arguments)):
        coder.encode(event)
    begun = time.process_time()
    for _ in range(1000):
        assert not coder.encode(ThinkingDelta("x"))
        coder.encode(ArgumentsDelta(0, " "))
    assert time.process_time() - begun < 2


def test_a_refusal_in_many_pieces_costs_what_it_is_long():
    coder = encoder()
    coder.encode(Started())
    begun = time.process_time()
    for _ in range(40_000):
        coder.encode(RefusalDelta("x" * 100))
    assert time.process_time() - begun < 2


def test_thinking_that_is_not_to_be_shown():
    own = ThinkingSigned(Signature("anthropic", "s"))
    found = written(
        ThinkingDelta("secret"), own, TextDelta("a"), Finished(Finish.STOP), reasoning=Reasoning(shown=False)
    )
    assert "secret" not in json.dumps(found)
    assert read_back(found).choices[0].parts[0].signature == own.signature


def test_sources():
    found = written(Cited(Citation("https://b.example")), TextDelta("a"), Cited(Citation("https://a.example", "A")))
    told = [
        event["delta"]["citation"]["url"] for event in found if event.get("delta", {}).get("type") == "citations_delta"
    ]
    assert told == ["https://a.example"]


def test_other_choices_and_log_probabilities_are_nothing_here():
    found = written(TextDelta("a"), TextDelta("b", choice=1), LogprobsDelta(({},)), Finished(Finish.STOP, choice=1))
    assert "b" not in json.dumps(found[2]["delta"]["text"])
    assert found[-1]["type"] == "error"


@pytest.mark.parametrize("text", ['"\\\n\r\u2028', "Zoë 東京 🙂", "half \ud800", "\x00\x7f"])
def test_any_text(text):
    found = written(TextDelta(text), Finished(Finish.STOP))
    assert found[2]["delta"]["text"] == text


DELTAS = st.one_of(
    st.builds(TextDelta, st.text(max_size=5)),
    st.builds(ThinkingDelta, st.text(max_size=5)),
    st.builds(RefusalDelta, st.text(max_size=5)),
    st.builds(ThinkingSigned, st.just(Signature("anthropic", "s"))),
    st.builds(TextSigned, st.just(Signature("gemini", "s"))),
    st.builds(CallStarted, st.integers(0, 2), st.just("id"), st.just("f")),
    st.builds(ArgumentsDelta, st.integers(0, 2), st.sampled_from(["{", "}", "{}", "", '"'])),
    st.builds(UsageTold, st.just(Usage(output=1))),
    st.just(Finished(Finish.STOP)),
    st.just(Failed(BrokenAnswer("x"))),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(DELTAS, max_size=12))
def test_any_order_of_events_is_written_legally(events):
    written(*events)


PIECES = st.lists(st.tuples(st.integers(0, 2), st.sampled_from(['{"a":', "1", "}", "{}"])), max_size=10)


@settings(max_examples=80, deadline=None)
@given(PIECES)
def test_arguments_in_any_order_lose_nothing_while_incomplete(pieces):
    """Every call's text comes whole, as long as none goes on after it was complete."""
    starts = [CallStarted(n, f"id{n}", "f") for n in range(3)]
    whole = {n: "".join(text for call, text in pieces if call == n) for n in range(3)}
    found = written(*starts, *(ArgumentsDelta(n, text) for n, text in pieces), Finished(Finish.TOOL_CALLS))
    assert [part.arguments for part in read_back(found).choices[0].parts] == [whole[n] or "{}" for n in range(3)]


def test_a_hundred_events_cost_little():
    stream = b"".join(
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta",'
        b'"text":" word"}}\n\n'
        for _ in range(100)
    )
    start = golden("text", "stream").split(b"event: ping")[0]
    best = 1.0
    for _ in range(20):
        decoder, coder = MessagesDecoder(), encoder()
        decoder.feed(start)
        before = time.process_time()
        for at in range(0, len(stream), 1000):
            for event in decoder.feed(stream[at : at + 1000]):
                coder.encode(event)
        best = min(best, time.process_time() - before)
    assert best < 0.006  # measured: 0.0008; a machine that is shared is given room
