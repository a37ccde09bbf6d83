"""AWS's event streams: in every split, broken, too long, and cut."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from llmauth.demo.eventstream import encode, event, exception
from llmauth.usage.formats import CONVERSE, INVOKE
from llmauth.usage.frames import LONGEST, Frames
from llmauth.usage.meter import Reading, Reason
from tests.llmauth.usage.answers import read, splits, tokens


def told(kind: str, **payload: Any) -> bytes:
    return event(kind, json.dumps({**payload, "p": "abcd"}).encode())


def chunk(**own: Any) -> bytes:
    return told("chunk", bytes=base64.b64encode(json.dumps(own).encode()).decode())


DELTA = told("contentBlockDelta", contentBlockIndex=0, delta={"text": 'the "usage": {} of words'})
USAGE = {"inputTokens": 3, "outputTokens": 4, "cacheReadInputTokens": 2}
THOUGHT = told(
    "messageStop", additionalModelResponseFields={"usage": {"output_tokens_details": {"thinking_tokens": 1}}}
)
METADATA = told("metadata", usage=USAGE, metrics={"latencyMs": 1})
STREAM = told("messageStart", role="assistant") + DELTA * 5 + THOUGHT + METADATA

CLAUDE_START = chunk(type="message_start", message={"usage": {"input_tokens": 9, "output_tokens": 1}})
CLAUDE_WORD = chunk(type="content_block_delta", delta={"text": "a"})
METRICS = {"inputTokenCount": 9, "outputTokenCount": 15}
CLAUDE_END = [
    chunk(type="content_block_stop", index=0),
    chunk(type="message_delta", usage={"output_tokens": 15, "output_tokens_details": {"thinking_tokens": 6}}),
    chunk(**{"type": "message_stop", "amazon-bedrock-invocationMetrics": METRICS}),
]
CLAUDE = CLAUDE_START + CLAUDE_WORD * 9 + b"".join(CLAUDE_END)


def test_converse_in_every_split() -> None:
    for pieces in splits(STREAM):
        assert read(Frames(CONVERSE), pieces) == Reading(tokens(3, 4, read=2, reasoning=1), None)


def test_a_models_own_events_in_every_split() -> None:
    for pieces in splits(CLAUDE):
        assert read(Frames(INVOKE), pieces) == Reading(tokens(9, 15, reasoning=6), None)


def test_a_message_of_nothing_is_one() -> None:
    for pieces in splits(encode((), b"") + DELTA + encode((), b"") + METADATA):
        assert read(Frames(CONVERSE), pieces) == Reading(tokens(3, 4, read=2), None)


def test_llama_tells_with_its_words() -> None:
    words = [
        chunk(generation="a", prompt_token_count=9 if n == 1 else None, generation_token_count=n, stop_reason=None)
        for n in range(1, 6)
    ]
    assert read(Frames(INVOKE), words) == Reading(tokens(9, 5), Reason.CUT)
    end = {"generation": "", "prompt_token_count": None, "generation_token_count": 6, "stop_reason": "stop"}
    metrics = {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 9, "outputTokenCount": 6}}
    assert read(Frames(INVOKE), [*words, chunk(**end, **metrics)]) == Reading(tokens(9, 6), None)


def test_a_cut_stream_tells_what_it_had_told() -> None:
    assert read(Frames(CONVERSE), [STREAM[: -len(METADATA) - 300]], cut=True) == Reading(None, Reason.CUT)
    for end in range(len(CLAUDE_START), len(CLAUDE) - sum(map(len, CLAUDE_END)), 37):
        assert read(Frames(INVOKE), [CLAUDE[:end]], cut=True) == Reading(tokens(9, 1), Reason.CUT)
    failed = CLAUDE_START + CLAUDE_WORD + exception("modelStreamErrorException", b'{"message":"no"}')
    assert read(Frames(INVOKE), [failed]) == Reading(tokens(9, 1), Reason.CUT)


@pytest.mark.parametrize("length", [0, 1, 15, 33 * 1024 * 1024, 2**32 - 1])
def test_an_impossible_length_ends_the_reading(length: int) -> None:
    broken = length.to_bytes(4, "big") + b"\0" * 40
    meter = Frames(CONVERSE)
    assert read(meter, [DELTA, broken[:2], broken[2:], METADATA]) == Reading(None, Reason.BROKEN)
    assert not meter._pending
    assert read(Frames(CONVERSE), [METADATA, broken]).usage == tokens(3, 4, read=2)


def test_a_wrong_checksum_tells_nothing() -> None:
    spoilt = bytearray(METADATA)
    spoilt[-30] ^= 1
    assert read(Frames(CONVERSE), [bytes(spoilt)]) == Reading(None, Reason.NOT_TOLD)
    assert read(Frames(CONVERSE), [DELTA, bytes(spoilt), METADATA]).usage == tokens(3, 4, read=2)


def test_a_long_message_is_left_out_and_the_next_is_read() -> None:
    long = encode(((":event-type", "trace"),), b'{"usage":{"inputTokens":1},"a":"' + b"x" * LONGEST + b'"}')
    for size in (len(long), 100_000, 999):
        meter = Frames(CONVERSE)
        for place in range(0, len(long), size):
            meter.feed(long[place : place + size])
            assert len(meter._pending) < LONGEST / 2
        assert meter.reading() == Reading(None, Reason.TOO_LARGE)
        assert read(meter, [METADATA[:50], METADATA[50:]]) == Reading(tokens(3, 4, read=2), None)


@pytest.mark.parametrize(
    "payload", [b"", b"[]", b'{"bytes":7}', b'{"bytes":"%%%"}', b'{"bytes":"\xc3\xa9"}', b'{"bytes":"W10="}']
)
def test_chunks_that_hold_nothing(payload: bytes) -> None:
    assert read(Frames(INVOKE), [event("chunk", payload), CLAUDE_START]).usage in (None, tokens(9, 1))
