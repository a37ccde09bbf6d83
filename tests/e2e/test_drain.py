"""Ending well: what runs is finished, what comes is sent away, and the process is gone in time, with status 0."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable

import pytest

from llmauth.demo.behaviour import Behaviour, Framing
from llmauth.demo.emulators import Emulators
from tests.fixtures.calls import (
    CHAT,
    DOORS,
    JSON,
    OPENAI,
    STREAM,
    begin,
    call,
    code,
    eventually,
    get,
    refuses_connections,
    seconds,
)
from tests.fixtures.raw import Answer, Wire
from tests.fixtures.serving import Serving

GATE, TUNNEL = DOORS
BODY = b"." * 600
# Six pieces, a quarter of a second apart.
SLOW = Behaviour(body=BODY, framing=Framing.CHUNKED, chunk_size=100, chunk_delay=0.25)
ENDLESS = Behaviour(stall_after=100, framing=Framing.CHUNKED)


def is_draining(answer: Answer) -> bool:
    wanted = (503, "draining", "close", "1")
    return (answer.status, code(answer), answer.header("connection"), answer.header("retry-after")) == wanted


def ready(gateway: Serving, wire: Wire) -> int:
    return get(gateway, "/ready", wire=wire).status


def test_what_runs_is_finished_and_what_comes_is_sent_away(serve: Callable[..., Serving], emulators: Emulators) -> None:
    """F4: not ready within a second, no new connection, and exit 0 as soon as the last answer is out."""
    gateway = serve()
    emulators.behave(OPENAI, SLOW, times=2)
    with contextlib.ExitStack() as wires:
        direct, begun, probe, idle, other, stranger = (wires.enter_context(Wire(gateway.port)) for _ in range(6))
        tunnelled, idle_tunnel = (wires.enter_context(TUNNEL.open(gateway)) for _ in range(2))
        for wire in (probe, idle, other, stranger):
            assert ready(gateway, wire) == 200
        begin(gateway, tunnelled, STREAM, door=TUNNEL)
        begin(gateway, direct, STREAM)
        begun.send(unfinished(gateway))
        emulators.wait(lambda seen: len(seen) == 2 and all(one.status for one in seen))
        gateway.process.send_signal(signal.SIGTERM)
        told = time.monotonic()
        eventually(lambda: refuses_connections(gateway.port), timeout=1)
        assert ready(gateway, probe) == 503
        assert time.monotonic() - told < 1
        assert get(gateway, "/health", wire=other).status == 200
        assert is_draining(begin(gateway, idle_tunnel, door=TUNNEL).answer())
        assert is_draining(call(gateway, wire=idle))
        assert idle.ended()
        assert is_draining(stranger.request("POST", GATE.path, [("Host", "x"), JSON], CHAT))
        late = begun.send(CHAT[10:]).answer()
        assert (late.status, late.header("connection")) == (200, "close")
        for wire in (tunnelled, direct):
            answer = wire.answer()
            assert (answer.status, answer.complete, answer.body) == (200, True, BODY)
        assert seconds(lambda: gateway.process.wait(5)) < 2
    assert gateway.process.returncode == 0
    assert gateway.lines("Stopped") != []
    assert len(emulators.requests()) == 3


def unfinished(gateway: Serving) -> bytes:
    """A call of which the body is still on its way."""
    fields = [*GATE.headers(gateway), ("Content-Length", str(len(CHAT)))]
    lines = [f"POST {GATE.path}/v1/chat/completions HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
    return "\r\n".join([*lines, "", ""]).encode() + CHAT[:10]


def test_nothing_to_finish_is_finished_at_once(serve: Callable[..., Serving]) -> None:
    gateway = serve()
    with Wire(gateway.port) as idle, TUNNEL.open(gateway):
        assert get(gateway, "/health", wire=idle).status == 200
        statuses: list[int] = []
        assert seconds(lambda: statuses.append(gateway.stop())) < 2
        assert statuses == [0]
        assert idle.ended()


def test_a_stream_that_takes_too_long_is_cut_visibly(serve: Callable[..., Serving], emulators: Emulators) -> None:
    gateway = serve(server={"drain_timeout": "1s"})
    emulators.behave(OPENAI, ENDLESS, times=2)
    with Wire(gateway.port) as direct, TUNNEL.open(gateway) as tunnelled:
        begin(gateway, direct, STREAM)
        begin(gateway, tunnelled, STREAM, door=TUNNEL)
        emulators.wait(lambda seen: len(seen) == 2 and all(len(one.sent_body) == 100 for one in seen))
        began = time.monotonic()
        gateway.process.send_signal(signal.SIGTERM)
        answers = [direct.answer(), tunnelled.answer()]
        assert [(one.status, one.complete, len(one.body)) for one in answers] == [(200, False, 100)] * 2
        assert gateway.process.wait(5) == 0
    assert 0.9 < time.monotonic() - began < 3
    (line,) = gateway.lines("The drain limit is over; running requests are cut")
    assert line["cut"] == 2
    emulators.wait(lambda seen: all(one.client_gone for one in seen), timeout=2)
    assert "Traceback" not in gateway.log()


def test_sigint_drains_as_well_and_a_second_signal_ends_at_once(
    serve: Callable[..., Serving], emulators: Emulators
) -> None:
    gateway = serve()
    emulators.behave(OPENAI, ENDLESS)
    with Wire(gateway.port) as wire:
        begin(gateway, wire, STREAM)
        emulators.wait(lambda seen: bool(seen) and len(seen[0].sent_body) == 100)
        gateway.process.send_signal(signal.SIGINT)
        eventually(lambda: refuses_connections(gateway.port))
        assert gateway.process.poll() is None
        gateway.process.send_signal(signal.SIGTERM)
        assert seconds(lambda: gateway.process.wait(5)) < 1.5
        answer = wire.answer()
        assert (answer.status, answer.complete) == (200, False)
    assert gateway.process.returncode == 0


@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["alone", "two workers"])
def test_f4_none_of_a_hundred_streams_is_cut(
    serve: Callable[..., Serving], emulators: Emulators, options: tuple[str, ...]
) -> None:
    """Inside the limit: all that run at the signal come to their end, while what is new is sent away."""
    gateway = serve(options=options)
    emulators.behave(OPENAI, SLOW, times=100)
    with contextlib.ExitStack() as wires:
        streams = [wires.enter_context(Wire(gateway.port)) for _ in range(100)]
        for wire in streams:
            begin(gateway, wire, STREAM)
        emulators.wait(lambda seen: len(seen) == 100 and all(one.status for one in seen), timeout=10)
        gateway.process.send_signal(signal.SIGTERM)
        eventually(lambda: refuses_connections(gateway.port), timeout=3)
        answers = [wire.answer() for wire in streams]
        assert {(one.status, one.complete, one.body) for one in answers} == {(200, True, BODY)}
        assert gateway.process.wait(10) == 0
    assert not gateway.lines("The drain limit is over; running requests are cut")


def test_a_stream_of_events_that_is_cut_says_so_where_an_event_has_ended(
    serve: Callable[..., Serving], emulators: Emulators
) -> None:
    """The client's SDK raises what it reads; and still nothing passes for the whole."""
    event = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
    gateway = serve(server={"drain_timeout": "1s"})
    for stall in (len(event), len(event) + 7):
        behaviour = Behaviour(body=event * 3, framing=Framing.CHUNKED, stall_after=stall)
        emulators.behave(OPENAI, behaviour)
    with Wire(gateway.port) as whole, TUNNEL.open(gateway) as half:
        begin(gateway, whole, STREAM)
        emulators.wait(lambda seen: len(seen) == 1 and len(seen[0].sent_body) == len(event))
        begin(gateway, half, STREAM, door=TUNNEL)
        emulators.wait(lambda seen: len(seen) == 2 and len(seen[1].sent_body) == len(event) + 7)
        gateway.process.send_signal(signal.SIGTERM)
        told, cut = whole.answer(), half.answer()
        assert gateway.process.wait(5) == 0
    assert (told.complete, cut.complete) == (False, False)
    assert told.body.startswith(event + b'data: {"error":{"message":"This gateway is shutting down.')
    assert told.body.endswith(b"\n\n")
    assert cut.body == (event * 2)[: len(event) + 7]
