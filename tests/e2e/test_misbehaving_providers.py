"""Forty ways in which a provider misbehaves, through both doors: bounded, never falsely complete, no second victim."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from llmauth.demo.behaviour import Behaviour, Cut, Framing
from llmauth.demo.emulators import Emulators
from tests.fixtures.calls import CHAT, DOORS, OPENAI, Door, begin, code
from tests.fixtures.raw import Answer, Wire
from tests.fixtures.serving import Serving, start

PATIENCE = 1.0
SLACK = 2.0
OK = b"HTTP/1.1 200 OK\r\n"
JSON = b"Content-Type: application/json\r\n"
SECOND = OK + b"X-Second: 1\r\nContent-Length: 0\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
REDIRECT = b"HTTP/1.1 307 Go\r\nLocation: https://evil.example/\r\nContent-Length: 0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Broken:
    """It is no answer: the client gets ours."""

    status: int = 502


@dataclass(frozen=True, slots=True)
class Cuts:
    """It begins and does not end: the client sees that."""


@dataclass(frozen=True, slots=True)
class Passes:
    """It is odd, and it is the provider's: it passes as it came."""

    status: int
    body: bytes = b""


Expected = Broken | Cuts | Passes


def raw(data: bytes) -> Behaviour:
    return Behaviour(raw=data)


def chunked(body: bytes) -> Behaviour:
    return raw(OK + b"Transfer-Encoding: chunked\r\n\r\n" + body)


def sized(length: bytes, body: bytes, more: bytes = b"") -> Behaviour:
    return raw(OK + JSON + more + b"Content-Length: " + length + b"\r\n\r\n" + body)


KINDS: dict[str, tuple[Behaviour, Expected]] = {
    # No answer at all
    "closes at once": (raw(b""), Broken()),
    "resets at once": (Behaviour(cut_after=0, framing=Framing.CLOSE, cut=Cut.RST, raw=b""), Broken()),
    "says nothing": (Behaviour(hang=True), Broken(504)),
    "speaks another protocol": (raw(b"SSH-2.0-OpenSSH_9.2\r\n"), Broken()),
    "speaks HTTP/2": (raw(b"\0\0\x12\4\0\0\0\0\0" + bytes(18)), Broken()),
    "speaks HTTP/0.9": (raw(b'{"object": "chat.completion"}'), Broken()),
    "sends zeros": (raw(bytes(5000)), Broken()),
    # Heads
    "ends in its first line": (raw(b"HTTP/1.1 20"), Broken()),
    "ends in its head": (raw(OK + b"Content-Le"), Broken()),
    "status of two digits": (raw(b"HTTP/1.1 99 Odd\r\nContent-Length: 0\r\n\r\n"), Broken()),
    "status of four digits": (raw(b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"), Broken()),
    "status that is no number": (raw(b"HTTP/1.1 OK 200\r\nContent-Length: 0\r\n\r\n"), Broken()),
    "status 600": (raw(b"HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n"), Broken()),
    "line without a colon": (raw(OK + b"nonsense\r\nContent-Length: 0\r\n\r\n"), Broken()),
    "blank before the colon": (raw(OK + b"Content-Length : 0\r\n\r\n"), Broken()),
    "NUL in a value": (raw(OK + b"X-A: a\0b\r\nContent-Length: 0\r\n\r\n"), Broken()),
    "bare CR in a value": (raw(OK + b"X-A: a\rb\r\nContent-Length: 0\r\n\r\n"), Broken()),
    "bare LF as line end": (raw(b"HTTP/1.1 200 OK\nContent-Length: 0\n\n"), Broken()),
    "a head of a megabyte": (raw(OK + b"X-A: " + b"a" * 1_000_000 + b"\r\nContent-Length: 0\r\n\r\n"), Broken()),
    "a head without end": (raw(OK + b"X-A: a\r\n" * 20_000), Broken()),
    # Lengths
    "two lengths": (sized(b"2", b"{}", b"Content-Length: 3\r\n"), Broken()),
    "a negative length": (sized(b"-2", b"{}"), Broken()),
    "a length that is no number": (sized(b"two", b"{}"), Broken()),
    "length and chunks": (sized(b"2", b"2\r\n{}\r\n0\r\n\r\n", b"Transfer-Encoding: chunked\r\n"), Broken()),
    "an unknown coding": (raw(OK + b"Transfer-Encoding: cow\r\n\r\nmoo"), Broken()),
    "less than it told": (sized(b"100000", b"{" * 50_000), Cuts()),
    "more than it told": (
        sized(b"2", b"{}HTTP/1.1 200 OK\r\nX-Second: 1\r\nContent-Length: 0\r\n\r\n"),
        Passes(200, b"{}"),
    ),
    "more than it told, no answer": (sized(b"2", b"{}garbage"), Passes(200, b"{}")),
    # Chunks
    "a chunk of no size": (chunked(b"5\r\nhello\r\nZZ\r\n"), Cuts()),
    "a chunk of a negative size": (chunked(b"5\r\nhello\r\n-5\r\nhello\r\n0\r\n\r\n"), Cuts()),
    "a chunk longer than it told": (chunked(b"5\r\nhello!!\r\n0\r\n\r\n"), Cuts()),
    "a chunk line without end": (chunked(b"5\r\nhello\r\n5;" + b"a" * 200_000), Cuts()),
    "no last chunk": (chunked(b"5\r\nhello\r\n"), Cuts()),
    "half a last chunk": (chunked(b"5\r\nhello\r\n0\r\n"), Cuts()),
    "trailers without end": (chunked(b"5\r\nhello\r\n0\r\n" + b"X-T: a\r\n" * 20_000), Cuts()),
    # 1xx
    "1xx without end": (raw(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000), Broken()),
    "a switch that nobody asked for": (
        raw(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
        Broken(),
    ),
    "100 and nothing more": (raw(b"HTTP/1.1 100 Continue\r\n\r\n"), Broken()),
    # Ends
    "cut in the middle, politely": (Behaviour(cut_after=40, cut=Cut.CLOSE), Cuts()),
    "cut in the middle by FIN": (Behaviour(cut_after=40, cut=Cut.FIN), Cuts()),
    "cut in the middle by RST": (Behaviour(cut_after=40, cut=Cut.RST), Cuts()),
    # Odd, and still the provider's
    "a redirect": (
        raw(b"HTTP/1.1 307 Go\r\nLocation: https://evil.example/\r\nContent-Length: 0\r\n\r\n"),
        Passes(307),
    ),
    "a refresh": (raw(OK + b"Refresh: 0; url=https://evil.example/\r\nContent-Length: 0\r\n\r\n"), Passes(200)),
    "204 with a body": (raw(b"HTTP/1.1 204 None\r\n\r\nbody"), Passes(204)),
    "no reason": (raw(b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\n{}"), Passes(200, b"{}")),
    "an answer without an answer's kind": (raw(OK + b"Content-Length: 2\r\n\r\n\xff\xfe"), Passes(200, b"\xff\xfe")),
    "an answer before the body was read": (Behaviour(early=True, status=413), Passes(413)),
    "a hang-up after a whole answer": (Behaviour(hang_up=True, body=b"{}"), Passes(200, b"{}")),
}


@pytest.fixture(scope="module")
def own_gateway(tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators) -> Iterator[Serving]:
    serving = start(tmp_path_factory.mktemp("patient"), shared_emulators, upstream={"first_byte_timeout": "1s"})
    serving.key()
    yield serving
    serving.stop()


@pytest.fixture
def impatient(own_gateway: Serving, emulators: Emulators) -> Serving:
    return own_gateway


def answer_of(wire: Wire) -> Answer | None:
    """What the client got; `None` when it saw its connection end before a head."""
    try:
        return wire.answer()
    except EOFError:
        return None


def judge(answer: Answer | None, expected: Expected) -> None:
    match expected:
        case Broken(status):
            assert answer is not None
            assert (answer.status, answer.complete) == (status, True)
            assert code(answer) == ("provider_timeout" if status == 504 else "provider_unreachable")
            assert answer.header("x-llmauth-fault") == "provider"
        case Cuts():
            # An answer that fits into one write is held until it is whole, and then it is no answer at all.
            assert answer is not None
            assert not answer.complete or (answer.status == 502 and code(answer) == "provider_unreachable")
        case Passes(status, body):
            assert answer is not None
            assert (answer.status, answer.complete) == (status, True)
            assert not body or answer.body == body


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
@pytest.mark.parametrize("kind", KINDS)
def test_a_provider_that(impatient: Serving, emulators: Emulators, kind: str, door: Door) -> None:
    behaviour, expected = KINDS[kind]
    emulators.behave(OPENAI, behaviour, times=1)
    began = time.monotonic()
    with door.open(impatient) as wire:
        answer = answer_of(begin(impatient, wire, CHAT, door=door))
        assert time.monotonic() - began < PATIENCE + SLACK
        judge(answer, expected)
        assert answer is None or answer.header("x-second") is None
        if answer is not None and answer.complete and answer.header("connection") != "close":
            time.sleep(0.05)  # until the end of its connection has come too, which no answer announced
            assert begin(impatient, wire, CHAT, door=door).answer().body.startswith(b'{"id"')
    with door.open(impatient) as wire:
        assert begin(impatient, wire, CHAT, door=door).answer().status == 200
    assert {seen.host for seen in emulators.requests()} == {OPENAI}


def test_there_are_forty() -> None:
    assert len(KINDS) >= 40
