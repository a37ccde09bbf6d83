"""The emulated Realtime and Responses, asked over a socket of one's own, without a gateway."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from llmauth.demo.openai import HOST
from tests.fixtures.raw import Wire
from tests.fixtures.sockets import BINARY, CLOSE, PING, PONG, TEXT, Socket, ask, frame, handshake, opened


def wire(emulators: Emulators) -> Wire:
    return Wire(emulators.port).start_tls(HOST, emulators.ca_file)


def key(emulators: Emulators) -> tuple[str, str]:
    return "Authorization", f"Bearer {emulators.credentials.openai_key}"


@pytest.fixture
def socket(emulators: Emulators) -> Iterator[Socket]:
    with opened(wire(emulators), "/v1/realtime?model=m", handshake(key(emulators), host=HOST))[0] as socket:
        assert socket.event()["session"]["model"] == "m"
        yield socket


def test_it_speaks_as_realtime_does(socket: Socket) -> None:
    assert socket.say({"type": "session.update", "session": {"voice": "x"}}).event()["session"]["voice"] == "x"
    assert socket.say({"type": "conversation.item.create", "item": {"role": "user"}}).event()["item"]["role"] == "user"
    events = socket.say({"type": "response.create"}).until("response.done")
    said = "".join(event.get("delta", "") for event in events)
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == said


def test_it_echoes_answers_pings_and_goodbyes(socket: Socket) -> None:
    socket.send(frame(BINARY, b"x") + frame(TEXT, b"no json") + frame(PING, b"p") + frame(CLOSE, b"\x03\xe8"))
    read = [socket.read() for _ in range(4)]
    assert [(each.opcode, each.payload) for each in read if each] == [
        (BINARY, b"x"),
        (TEXT, b"no json"),
        (PONG, b"p"),
        (CLOSE, b"\x03\xe8"),
    ]
    assert socket.read() is None


def test_it_misbehaves_when_it_is_asked_to(socket: Socket) -> None:
    socket.say({"type": "emulator.report"})
    assert socket.event()["received"] > 0
    socket.say({"type": "emulator.flood", "bytes": 64 * 1024})
    assert [len(each.payload) for each in (socket.read() for _ in range(4)) if each] == [16 * 1024] * 4
    socket.say({"type": "emulator.half"})
    with pytest.raises((EOFError, ssl.SSLError)):
        socket.read()


def test_a_frame_that_is_none_ends_it(socket: Socket) -> None:
    said = socket.send(b"GET / HTTP/1.1\r\n\r\n").read()
    assert said is not None
    assert said.code == 1002


def test_responses_are_told_in_order(emulators: Emulators) -> None:
    with opened(wire(emulators), "/v1/responses", handshake(key(emulators), host=HOST))[0] as socket:
        events = socket.say({"type": "response.create", "model": "gpt-5"}).until("response.completed")
    assert [event["sequence_number"] for event in events] == list(range(len(events)))


def status(emulators: Emulators, path: str, *more: tuple[str, str]) -> int:
    with wire(emulators) as one:
        return ask(one, path, handshake(*more, host=HOST)).status


def test_it_is_judged_like_any_call(emulators: Emulators) -> None:
    assert status(emulators, "/v1/realtime") == 401
    assert status(emulators, "/v1/models", key(emulators)) == 426
    bad = ("Sec-WebSocket-Protocol", "openai-insecure-api-key.x")
    assert status(emulators, "/v1/realtime", key(emulators), bad) == 400
    emulators.behave(HOST, Behaviour(status=429))
    assert status(emulators, "/v1/realtime", key(emulators)) == 429


def test_its_record_tells_how_it_ended(emulators: Emulators) -> None:
    with opened(wire(emulators), "/v1/realtime", handshake(key(emulators), host=HOST))[0]:
        assert emulators.requests()[-1].status == 101
    assert emulators.wait(lambda seen: seen[-1].client_gone, timeout=2.0)
