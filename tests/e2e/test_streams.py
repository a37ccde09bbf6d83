"""Streams: who leaves is noticed, a cut is seen, who does not read is not fed, and nothing is mixed up."""

from __future__ import annotations

import random
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from llmauth.demo.behaviour import Behaviour, Cut, Framing
from llmauth.demo.emulators import Emulators
from tests.fixtures.calls import CHAT, DOORS, OPENAI, STREAM, Door, begin, call, code, eventually, get, memory
from tests.fixtures.raw import Answer, Wire
from tests.fixtures.serving import Serving, start
from tests.fixtures.upstreams import leading_to, read_request, serving

MIB = 1024 * 1024


@pytest.fixture(params=DOORS, ids=lambda door: door.name)
def door(request: pytest.FixtureRequest) -> Door:
    found: Door = request.param
    return found


# ---- who leaves ----------------------------------------------------------------------------------------------------

LEAVING: dict[str, Callable[[Wire], None]] = {
    "close": Wire.close,
    "reset": Wire.reset,
    "half-close": lambda wire: wire._sock.shutdown(socket.SHUT_WR),
}
MOMENTS = {
    "while the provider thinks": Behaviour(hang=True),
    "at the head": Behaviour(stall_after=0, framing=Framing.CHUNKED),
    "in the stream": Behaviour(stall_after=200, framing=Framing.CHUNKED),
    "in a short answer": Behaviour(stall_after=50, framing=Framing.LENGTH),
}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("leave", LEAVING)
def test_a_client_that_leaves_cancels_the_upstream(
    gateway: Serving, emulators: Emulators, door: Door, leave: str, moment: str
) -> None:
    """B4: within two seconds."""
    emulators.behave(OPENAI, MOMENTS[moment])
    wire = begin(gateway, door.open(gateway), STREAM, door=door)
    if moment == "in the stream":
        wire.read()
    emulators.wait(lambda seen: bool(seen) and (moment != "in the stream" or seen[0].status == 200))
    left = time.monotonic()
    LEAVING[leave](wire)
    (seen,) = emulators.wait(lambda seen: seen[0].client_gone, timeout=2)
    wire.close()
    assert seen.client_gone_at is not None
    assert seen.client_gone_at - left < 1.0


def test_who_left_is_no_longer_counted(gateway: Serving, emulators: Emulators) -> None:
    emulators.behave(OPENAI, Behaviour(hang=True), times=5)
    wires = [begin(gateway, Wire(gateway.port)) for _ in range(5)]
    emulators.wait(lambda seen: len(seen) == 5)
    assert b'"requests_in_flight": 6' in get(gateway, "/health").body  # the question itself is one
    for wire in wires:
        wire.reset()
    eventually(lambda: b'"requests_in_flight": 1' in get(gateway, "/health").body, timeout=2)


def test_who_leaves_inside_its_own_body_is_no_longer_counted(gateway: Serving, emulators: Emulators) -> None:
    lines = ["POST /transparent/openai/v1/chat/completions HTTP/1.1", f"X-API-Key: {gateway.key()}", "Host: x"]
    with Wire(gateway.port) as wire:
        wire.send("\r\n".join([*lines, "Content-Length: 10", "", "half"]).encode())
        eventually(lambda: b'"requests_in_flight": 2' in get(gateway, "/health").body)
    eventually(lambda: b'"requests_in_flight": 1' in get(gateway, "/health").body, timeout=2)
    assert emulators.connections == ()


def test_a_client_that_talks_on_and_on_while_it_waits_is_cut(gateway: Serving, emulators: Emulators) -> None:
    """Requests sent ahead are kept until their turn comes; not without end."""
    emulators.behave(OPENAI, Behaviour(hang=True))
    before = memory(gateway.process.pid)
    with Wire(gateway.port) as wire, pytest.raises(OSError):  # noqa: PT012
        begin(gateway, wire)
        emulators.wait(lambda seen: len(seen) == 1)
        for _ in range(100):
            wire.send(b"x" * MIB)
    emulators.wait(lambda seen: seen[0].client_gone, timeout=2)
    assert memory(gateway.process.pid) - before < 20 * MIB


def test_requests_sent_ahead_are_answered_in_turn(gateway: Serving, emulators: Emulators) -> None:
    with Wire(gateway.port) as wire:
        for _ in range(3):
            begin(gateway, wire)
        assert [wire.answer().status for _ in range(3)] == [200, 200, 200]
    assert len(emulators.requests()) == 3


# ---- who is cut off ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", Cut)
@pytest.mark.parametrize("framing", [Framing.LENGTH, Framing.CHUNKED])
@pytest.mark.parametrize("after", [0, 30, 400])
@pytest.mark.parametrize("body", [CHAT, STREAM], ids=["json", "stream"])
def test_a_cut_answer_is_never_a_clean_end(
    gateway: Serving, emulators: Emulators, cut: Cut, framing: Framing, after: int, body: bytes
) -> None:
    """B5. Short answers are held back until they are whole, and become a 502; others end without their end."""
    emulators.behave(OPENAI, Behaviour(cut=cut, framing=framing, cut_after=after, tokens=60))
    answer = call(gateway, body)
    (seen,) = emulators.requests()
    if answer.status == 502:
        assert (code(answer), answer.complete) == ("provider_unreachable", True)
    else:
        assert not answer.complete
        assert answer.body == seen.sent_body
    assert seen.answered_at is None


@pytest.mark.parametrize("cut", [Cut.FIN, Cut.RST])
def test_an_answer_that_ends_with_its_connection_is_cut_by_any_other_end(
    gateway: Serving, emulators: Emulators, door: Door, cut: Cut
) -> None:
    """RFC 9112, 9.8: it is complete only if a valid closure alert has been received."""
    emulators.behave(OPENAI, Behaviour(cut=cut, framing=Framing.CLOSE, cut_after=100))
    with door.open(gateway) as wire:
        answer = begin(gateway, wire, STREAM, door=door).answer()
    assert (answer.status, len(answer.body), answer.complete) == (200, 100, False)


def test_an_answer_that_ends_with_its_connection_is_whole_when_told_so(gateway: Serving, emulators: Emulators) -> None:
    emulators.behave(OPENAI, Behaviour(framing=Framing.CLOSE))
    answer = call(gateway, STREAM)
    (seen,) = emulators.requests()
    assert (answer.complete, answer.body) == (True, seen.sent_body)
    assert answer.header("transfer-encoding") == "chunked"


@pytest.mark.parametrize("cut", Cut)
@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 20", b"HTTP/1.1 200 OK\r\nContent-Le"])
def test_cut_before_the_end_of_the_head(gateway: Serving, emulators: Emulators, cut: Cut, sent: bytes) -> None:
    emulators.behave(OPENAI, Behaviour(raw=sent, cut=cut))
    answer = call(gateway, STREAM)
    assert (answer.status, code(answer)) == (502, "provider_unreachable")


@pytest.mark.parametrize("cut", Cut)
@pytest.mark.parametrize("end", [b"20", b"20\r\n", b"20\r\ndata: x", b"5\r\nhello", b"5\r\nhello\r\n0\r\n"])
def test_cut_inside_a_chunk(gateway: Serving, emulators: Emulators, door: Door, cut: Cut, end: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    emulators.behave(OPENAI, Behaviour(raw=head + b"8\r\ndata: y\n\r\n" + end, cut=cut))
    with door.open(gateway) as wire:
        answer = begin(gateway, wire, STREAM, door=door).answer()
    assert not answer.complete
    assert answer.body.startswith(b"data: y\n")


# ---- what is no cut ------------------------------------------------------------------------------------------------


def all_bytes(wire: Wire, end: bytes) -> bytes:
    """What comes until these bytes."""
    found = b""
    while end not in found:
        data = wire.read()
        assert data, found
        found += data
    return found


@pytest.mark.parametrize("interim", [(100,), (103,), (103, 103), (102, 199)])
def test_1xx_heads_are_passed_on(gateway: Serving, emulators: Emulators, door: Door, interim: tuple[int, ...]) -> None:
    emulators.behave(OPENAI, Behaviour(interim=interim), times=2)
    with door.open(gateway) as wire:
        for _ in range(2):
            begin(gateway, wire, STREAM, door=door)
            received = all_bytes(wire, b"0\r\n\r\n")
            heads = [int(part.split()[0]) for part in received.split(b"HTTP/1.1 ")[1:]]
            assert heads == [*interim, 200]
            assert received.count(b"link: </style.css>") == interim.count(103)


@pytest.mark.parametrize("body", [CHAT, STREAM], ids=["json", "stream"])
def test_a_client_that_asks_to_close_is_closed(gateway: Serving, emulators: Emulators, body: bytes) -> None:
    with Wire(gateway.port, timeout=3) as wire:
        headers = [*DOORS[0].headers(gateway), ("Connection", "close")]
        answer = wire.request("POST", "/transparent/openai/v1/chat/completions", headers, body)
        assert (answer.status, answer.complete, answer.header("connection")) == (200, True, "close")
        assert wire.ended()


@pytest.mark.parametrize("body", [CHAT, STREAM], ids=["json", "stream"])
def test_trailers_of_an_answer_end_it(gateway: Serving, emulators: Emulators, door: Door, body: bytes) -> None:
    emulators.behave(OPENAI, Behaviour(trailers=((b"x-checksum", b"1"), (b"x-more", b"2"))), times=2)
    with door.open(gateway) as wire:
        for _ in range(2):
            answer = begin(gateway, wire, body, door=door).answer()
            assert (answer.status, answer.complete) == (200, True)
            assert answer.body == emulators.requests()[-1].sent_body


def test_trailers_of_a_request_end_it(gateway: Serving, emulators: Emulators) -> None:
    fields = [*DOORS[0].headers(gateway), ("Transfer-Encoding", "chunked"), ("Trailer", "X-Checksum")]
    lines = ["POST /transparent/openai/v1/chat/completions HTTP/1.1", *(f"{n}: {v}" for n, v in fields), "", ""]
    chunks = b"%x\r\n%s\r\n0\r\nX-Checksum: 1\r\nAuthorization: Bearer sk-other\r\n\r\n" % (len(CHAT), CHAT)
    with Wire(gateway.port) as wire:
        assert wire.send("\r\n".join(lines).encode() + chunks).answer().status == 200
        assert call(gateway, wire=wire).status == 200
    seen = emulators.requests()[0]
    assert (seen.body, seen.trailers, seen.values("x-checksum")) == (CHAT, (), [])


def test_who_expects_100_continue_gets_it_once(gateway: Serving, emulators: Emulators, door: Door) -> None:
    emulators.behave(OPENAI, Behaviour(raw=b""))
    fields = [*door.headers(gateway), ("Expect", "100-continue"), ("Content-Length", str(len(CHAT)))]
    lines = [f"POST {door.path}/v1/chat/completions HTTP/1.1", *(f"{n}: {v}" for n, v in fields), "", ""]
    for status in (502, 200):  # the first time the provider fails after it: that must be told too
        with door.open(gateway) as wire:
            wire.send("\r\n".join(lines).encode())
            assert all_bytes(wire, b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
            assert wire.send(CHAT).answer().status == status
    assert all(seen.values("expect") == [] for seen in emulators.requests())


# ---- who does not read ---------------------------------------------------------------------------------------------

PIECE = b"%x\r\n%s\r\n" % (64 * 1024, b"." * 64 * 1024)


@pytest.fixture
def flood(tmp_path: Path, shared_emulators: Emulators) -> Iterator[tuple[Serving, Counter[str]]]:
    """A gateway whose provider says 200 MiB, and how many MiB of them it could write."""
    written: Counter[str] = Counter()

    def pour(tls: ssl.SSLSocket) -> None:
        read_request(tls)
        tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(200):
            tls.sendall(PIECE * 16)
            written["MiB"] += 1
        tls.sendall(b"0\r\n\r\n")
        tls.recv(1)

    with serving(pour, tmp_path) as (port, ca_file):
        own = start(tmp_path, shared_emulators, upstream=leading_to(port, ca_file))
        own.key()
        yield own, written
        own.stop()


def test_a_client_that_does_not_read_stops_the_provider(flood: tuple[Serving, Counter[str]]) -> None:
    """B4: memory of the gateway stays where it was, for 200 MiB."""
    gateway, written = flood
    before = memory(gateway.process.pid)
    with Wire(gateway.port, timeout=30) as wire:
        begin(gateway, wire, STREAM)
        eventually(lambda: written["MiB"] > 0)
        stalled = -1
        while stalled != written["MiB"]:
            stalled = written["MiB"]
            time.sleep(0.3)
        assert stalled < 60  # what the buffers of two connections in the kernel hold
        assert memory(gateway.process.pid) - before < 20 * MIB
        received, tail, peak = 0, b"", 0
        while not tail.endswith(b"0\r\n\r\n"):
            data = wire.read(MIB)
            assert data
            received, tail = received + len(data), (tail + data)[-8:]
            peak = max(peak, memory(gateway.process.pid)) if received % 8 == 0 else peak
    assert received > 200 * MIB
    assert max(peak, memory(gateway.process.pid)) - before < 40 * MIB


# ---- many at once --------------------------------------------------------------------------------------------------

FAULTS: dict[str, Behaviour] = {
    "cut": Behaviour(cut=Cut.RST, cut_after=700, framing=Framing.CHUNKED, chunk_size=64, chunk_delay=0.005),
    "fin": Behaviour(cut=Cut.FIN, cut_after=700, framing=Framing.CHUNKED, chunk_size=64, chunk_delay=0.005),
    "short": Behaviour(cut=Cut.CLOSE, cut_after=700, framing=Framing.LENGTH),
    "garbage": Behaviour(raw=b"garbage\r\n\r\n"),
    "refused": Behaviour(status=503),
    "hints": Behaviour(raw=b"HTTP/1.1 103 Early Hints\r\n\r\n" * 50),
}
STREAMS = 500
STEADY = Behaviour(framing=Framing.CHUNKED, chunk_size=64, chunk_delay=0.005)


@pytest.mark.slow
def test_five_hundred_streams_of_which_one_in_three_fails(gateway: Serving, emulators: Emulators) -> None:
    """No mixing, no hang, no silent cut."""
    dice = random.Random(20)
    faulty = {number: dice.choice(sorted(FAULTS)) for number in dice.sample(range(STREAMS), STREAMS * 3 // 10)}
    for number in range(STREAMS):
        behaviour = FAULTS[faulty[number]] if number in faulty else STEADY
        emulators.behave(OPENAI, behaviour, path=f"/v1/echo/{number:03}")
    bodies = {number: (f"stream {number:03} " * 200).encode() for number in range(STREAMS)}
    gateway.key()

    def one(number: int) -> Answer:
        door = DOORS[number % 2]
        with door.open(gateway, timeout=40.0) as wire:
            return begin(gateway, wire, bodies[number], door=door, path=f"/v1/echo/{number:03}").answer()

    with ThreadPoolExecutor(STREAMS) as pool:
        answers = list(pool.map(one, range(STREAMS)))
    for number, answer in enumerate(answers):
        fault = faulty.get(number)
        if fault is None:
            assert (answer.status, answer.complete, answer.body == bodies[number]) == (200, True, True), number
        elif answer.status == 200:
            assert not answer.complete, (number, fault)
            assert bodies[number].startswith(answer.body), (number, fault)
        else:
            assert (answer.status, answer.complete) == (503 if fault == "refused" else 502, True), (number, fault)
    eventually(lambda: b'"requests_in_flight": 1' in get(gateway, "/health").body)


def test_two_hundred_new_connections_at_once(gateway: Serving, emulators: Emulators) -> None:
    gateway.key()
    barrier = threading.Barrier(200)

    def one(number: int) -> int:
        barrier.wait()
        with Wire(gateway.port, timeout=30) as wire:
            return begin(gateway, wire).answer().status

    with ThreadPoolExecutor(200) as pool:
        statuses = Counter(pool.map(one, range(200)))
    assert statuses == {200: 200}


def test_no_stream_broke_a_layer(gateway: Serving) -> None:
    """Runs last: all of the above went the designed way, and none by closing everything."""
    assert gateway.lines("A protocol layer failed; its connections were closed") == []
