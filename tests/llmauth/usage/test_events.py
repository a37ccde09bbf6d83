"""Server-sent events: the few that tell are found in every split, kept within bounds, and read when asked."""

from __future__ import annotations

import pytest

from llmauth.usage.events import LONGEST, Events
from llmauth.usage.formats import MESSAGES, OPENAI, ORACLE, WATSONX
from llmauth.usage.meter import Reading, Reason
from tests.llmauth.usage.answers import read, splits, sse, tokens

USAGE = {"prompt_tokens": 5, "completion_tokens": 7}
CHUNK = {"id": "a", "choices": [{"index": 0, "delta": {"content": 'he said "usage":{}'}}], "usage": None}
LAST = {"id": "a", "choices": [], "usage": USAGE}
DONE = b"data: [DONE]\n\n"
START = {"type": "message_start", "message": {"usage": {"input_tokens": 25, "output_tokens": 1}}}
WORD = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}}
CALL = {
    "type": "content_block_start",
    "content_block": {"type": "server_tool_use", "input": {"usage": {"input_tokens": 0}}},
}
DELTA = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 15}}
STOP = {"type": "message_stop"}
CLAUDE = sse(START, WORD, CALL, {"type": "ping"}, WORD, WORD, DELTA, STOP, names=True)


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf", b": ping\n\n", b"retry: 5\nid: 7\n\n"])
def test_every_way_to_end_a_line(newline: bytes, mark: bytes) -> None:
    stream = (mark + sse(CHUNK, CHUNK, LAST) + DONE).replace(b"\n", newline)
    for pieces in splits(stream):
        assert read(Events(OPENAI), pieces) == Reading(tokens(5, 7), None)
    claude = (mark + CLAUDE).replace(b"\n", newline)
    for pieces in splits(claude):
        assert read(Events(MESSAGES), pieces) == Reading(tokens(25, 15), None)


def test_the_first_event_may_be_the_one_that_tells() -> None:
    for stream in (sse(LAST), b"\xef\xbb\xbf" + sse(LAST), sse(LAST, CHUNK) + DONE, sse(LAST)[:-2], sse(LAST)[:-1]):
        for pieces in splits(stream):
            assert read(Events(OPENAI), pieces) == Reading(tokens(5, 7), None)


def test_data_in_several_lines_is_one_event() -> None:
    stream = b'data: {"choices": [],\ndata: "usage": {"prompt_tokens": 5,\ndata: "completion_tokens": 7}}\n\n' + DONE
    for pieces in splits(stream):
        assert read(Events(OPENAI), pieces) == Reading(tokens(5, 7), None)


def test_a_single_newline_between_two_events_of_oracles() -> None:
    usage = {"usage": {"promptTokens": 3, "completionTokens": 4}}
    stream = sse({"message": {}}, usage, {"finishReason": "stop"}).replace(b"\n\n", b"\n")
    for pieces in splits(stream):
        assert read(Events(ORACLE), pieces) == Reading(tokens(3, 4), None)


def test_older_texts_of_watsonx() -> None:
    def piece(said: int, prompt: int, why: str) -> dict[str, object]:
        return {"results": [{"generated_token_count": said, "input_token_count": prompt, "stop_reason": why}]}

    pieces = [piece(0, 3, "not_finished"), *(piece(said, 0, "not_finished") for said in range(1, 5))]
    assert read(Events(WATSONX), [sse(*pieces)]) == Reading(tokens(3, 4), Reason.CUT)
    assert read(Events(WATSONX), [sse(*pieces, piece(5, 0, "eos_token"))]) == Reading(tokens(3, 5), None)


def test_it_can_be_read_at_any_time() -> None:
    meter, told = Events(MESSAGES), []
    for byte in CLAUDE:
        meter.feed(bytes([byte]))
        told.append(meter.reading())
    usages = [reading.usage for reading in told]
    assert list(dict.fromkeys(usages)) == [None, tokens(25, 1), tokens(25, 15)]
    assert [reading.lacks for reading in told if reading.usage == tokens(25, 15)][-1] is None


def test_why_nothing_was_told() -> None:
    stream = sse(CHUNK, CHUNK) + DONE
    assert read(Events(OPENAI), [stream]) == Reading(None, Reason.NOT_TOLD)
    assert read(Events(OPENAI), [stream], cut=True) == Reading(None, Reason.CUT)
    assert read(Events(MESSAGES), [sse(START, WORD, names=True)], cut=True) == Reading(tokens(25, 1), Reason.CUT)
    assert read(Events(OPENAI), [], cut=True) == Reading(None, Reason.CUT)


def test_an_event_that_is_too_long_is_left_out_and_the_next_is_read() -> None:
    long = b'data: {"usage":{"prompt_tokens":1}, "a":"' + b"x" * (LONGEST + 10) + b'"}'
    for end in (b"\n\n", b"\r\n\r\n"):
        meter = Events(OPENAI)
        pieces = [long[i : i + 100_000] for i in range(0, len(long), 100_000)]
        for piece in pieces:
            meter.feed(piece)
        assert meter.reading() == Reading(None, Reason.TOO_LARGE)
        assert len(meter._pending) < 10
        assert read(meter, [end[:1], end[1:] + b"data: {", sse(LAST)[7:]]) == Reading(tokens(5, 7), None)


def test_what_is_kept_is_bounded() -> None:
    meter = Events(OPENAI)
    for _ in range(100):
        meter.feed(b'data: "usage":{' * 10_000)
        assert len(meter._pending) <= LONGEST + 200_000
    for _ in range(3000):
        meter.feed(sse(CHUNK, LAST))
    assert len(meter._first) + len(meter._last) + len(meter._pending) < 3000
