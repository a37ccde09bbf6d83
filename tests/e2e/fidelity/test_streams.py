"""A stream passes as it comes: each event at once, the first byte with no delay worth the name, every byte the same."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO

import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.recorder import Recorded
from tests.e2e.fidelity.calls import ANTHROPIC, OPENAI, PATHS, RUNTIME, Call, Roads, chunks, hear_head, reader
from tests.fixtures.raw import Wire, tunnel

TURNS = [{"role": "user", "content": "hello"}]
SONNET = "anthropic.claude-3-sonnet-20240229-v1%3A0"


def asked(target: str, body: Mapping[str, object], *headers: tuple[str, str]) -> Call:
    return Call(target=target, headers=(("Content-Type", "application/json"), *headers), body=json.dumps(body).encode())


CONVERSE = {"messages": [{"role": "user", "content": [{"text": "hello"}]}]}
INVOKE = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 500, "messages": TURNS}
CHAT = asked("/v1/chat/completions", {"model": "gpt-4o", "stream": True, "messages": TURNS})
STREAMS = {
    "OpenAI chat": (OPENAI, CHAT),
    "OpenAI responses": (OPENAI, asked("/v1/responses", {"model": "gpt-4o", "stream": True, "input": "hello"})),
    "Anthropic messages": (
        ANTHROPIC,
        asked(
            "/v1/messages",
            {"model": "claude-sonnet-4-5", "max_tokens": 500, "stream": True, "messages": TURNS},
            ("anthropic-version", "2023-06-01"),
        ),
    ),
    "ConverseStream": (RUNTIME, asked(f"/model/{SONNET}/converse-stream", CONVERSE)),
    "InvokeModel stream": (RUNTIME, asked(f"/model/{SONNET}/invoke-with-response-stream", INVOKE)),
}
every_stream = pytest.mark.parametrize(("host", "call"), STREAMS.values(), ids=STREAMS)
every_door = pytest.mark.parametrize("by_path", [False, True], ids=["in a tunnel", "by path"])


@dataclass(frozen=True, slots=True)
class Piece:
    """What one chunk brought, and when."""

    at: float
    data: bytes


@contextmanager
def door(roads: Roads, host: str, call: Call, *, by_path: bool) -> Iterator[tuple[Wire, bytes]]:
    """An open connection, and the head to be sent on it."""
    key = roads.gateway.key()
    if by_path:
        with Wire(roads.gateway.port) as wire:
            target = f"/transparent/{PATHS[host]}{call.target}"
            yield wire, call.head(target, ("Host", "gateway"), ("X-API-Key", key))
    else:
        with tunnel(roads.gateway.port, host, key, roads.gateway.ca_file) as wire:
            yield wire, call.head(call.target, ("Host", host))


def listen(stream: BinaryIO) -> list[Piece]:
    """The pieces of a stream; the first is its head."""
    status_line, _ = hear_head(stream)
    assert status_line == b"HTTP/1.1 200 OK"
    return [Piece(time.monotonic(), b""), *(Piece(time.monotonic(), data) for data in chunks(stream))]


def only(roads: Roads) -> Recorded:
    """The one request that arrived, once its answer was given whole."""
    (recorded,) = roads.emulators.wait(lambda seen: bool(seen) and seen[-1].answered_at is not None)
    return recorded


@every_stream
@every_door
def test_every_event_passes_when_it_comes(roads: Roads, host: str, call: Call, by_path: bool) -> None:
    """One event in 30 ms: they arrive one by one, and the first long before the provider has sent its last."""
    tokens, pause = 12, 0.03
    roads.emulators.behave(host, Behaviour(tokens=tokens, chunk_delay=pause))
    with door(roads, host, call, by_path=by_path) as (wire, head):
        wire.send(head + call.sent_body())
        pieces = [piece for piece in listen(reader(wire)) if piece.data]
    sent = only(roads)
    assert b"".join(piece.data for piece in pieces) == sent.sent_body
    assert sent.answered_at is not None
    assert sent.answered_at - pieces[0].at > (tokens - 2) * pause
    assert len(pieces) >= tokens
    # At most a few of these pauses may be swallowed by a busy machine.
    gaps = [later.at - earlier.at for earlier, later in pairwise(pieces)]
    assert sum(gap > pause / 2 for gap in gaps) > tokens * 2 / 3


@pytest.mark.parametrize("size", [1, 7, 100], ids="chunks of {}".format)
@every_stream
def test_the_provider_may_cut_it_where_it_likes(roads: Roads, host: str, call: Call, size: int) -> None:
    roads.emulators.behave(host, Behaviour(chunk_size=size, chunk_delay=0.0))
    with door(roads, host, call, by_path=False) as (wire, head):
        wire.send(head + call.sent_body())
        pieces = listen(reader(wire))
    assert pieces[-1].data == b""
    assert b"".join(piece.data for piece in pieces) == only(roads).sent_body


@every_door
@pytest.mark.parametrize("name", ["OpenAI chat", "ConverseStream"])
def test_the_first_byte_is_within_15_ms_of_the_providers(roads: Roads, name: str, by_path: bool) -> None:
    """By one clock, on a connection that is open; the median of nine, since one may meet a busy machine."""
    host, call = STREAMS[name]
    roads.emulators.behave(host, Behaviour(tokens=3, chunk_delay=0.002, first_byte_delay=0.02), times=None)
    late = []
    with door(roads, host, call, by_path=by_path) as (wire, head):
        stream = reader(wire)
        for _ in range(9):
            before = len(roads.emulators.requests())
            wire.send(head + call.sent_body())
            heard = listen(stream)
            begun = roads.emulators.requests()[before].first_byte_at
            assert begun is not None
            late.append(heard[0].at - begun)
    assert statistics.median(late) < 0.015, late


def test_a_first_byte_on_a_new_connection(roads: Roads) -> None:
    """The same with everything new: CONNECT, both handshakes, and the connection behind us."""
    roads.emulators.behave(OPENAI, Behaviour(tokens=3, first_byte_delay=0.02), times=None)
    late = []
    for _ in range(9):
        before = len(roads.emulators.requests())
        with door(roads, OPENAI, CHAT, by_path=False) as (wire, head):
            wire.send(head + CHAT.sent_body())
            heard = listen(reader(wire))
        begun = roads.emulators.requests()[before].first_byte_at
        assert begun is not None
        late.append(heard[0].at - begun)
    assert statistics.median(late) < 0.015, late


def test_a_plain_answer_in_chunks_passes_as_it_comes(roads: Roads) -> None:
    """Not by its type: what the provider sends in pieces is given in pieces."""
    behaviour = Behaviour(body=b"x" * 50_000, chunk_size=5_000, chunk_delay=0.02)
    roads.emulators.behave(OPENAI, behaviour)
    call = Call(method="GET", target="/v1/models")
    with door(roads, OPENAI, call, by_path=False) as (wire, head):
        wire.send(head)
        stream = reader(wire)
        _, fields = hear_head(stream)
        first = stream.read(5_000)
        at = time.monotonic()
        rest = stream.read(45_000)
        answered = only(roads).answered_at
    assert dict(fields)[b"content-length"] == b"50000"
    assert len(first + rest) == 50_000
    assert answered is not None
    assert answered - at > 0.1


def test_packed_streams_pass_piece_by_piece(roads: Roads) -> None:
    roads.emulators.behave(OPENAI, Behaviour(gzip=True, tokens=8, chunk_delay=0.03))
    with door(roads, OPENAI, CHAT, by_path=False) as (wire, head):
        wire.send(head + CHAT.sent_body())
        pieces = [piece for piece in listen(reader(wire)) if piece.data]
    sent = only(roads)
    assert b"".join(piece.data for piece in pieces) == sent.sent_body
    assert sent.answered_at is not None
    assert sent.answered_at - pieces[0].at > 0.1


def test_streams_side_by_side_are_not_mixed(roads: Roads) -> None:
    """Twenty at once, on connections of their own and behind one gateway: each hears its own answer."""
    roads.emulators.behave(OPENAI, Behaviour(tokens=10, chunk_delay=0.005), times=None)
    wires = [tunnel(roads.gateway.port, OPENAI, roads.gateway.key(), roads.gateway.ca_file) for _ in range(20)]
    for number, wire in enumerate(wires):
        call = asked("/v1/chat/completions", {"model": f"gpt-4o-{number}x", "stream": True, "messages": TURNS})
        wire.send(call.head(call.target, ("Host", OPENAI)) + call.sent_body())
    for number, wire in enumerate(wires):
        with wire:
            said = b"".join(piece.data for piece in listen(reader(wire)))
        events = [json.loads(event.removeprefix(b"data: ")) for event in said.split(b"\n\n")[:-2]]
        assert {event["model"] for event in events} == {f"gpt-4o-{number}x"}
        assert said.endswith(b"data: [DONE]\n\n")
