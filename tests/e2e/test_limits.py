"""Every limit on clients and providers, at both doors, over real sockets and with small values."""

from __future__ import annotations

import contextlib
import resource
import socket
import ssl
import statistics
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llmauth.demo.behaviour import Behaviour, Framing
from llmauth.demo.emulators import Emulators
from tests.fixtures.calls import (
    CHAT,
    CHAT_PATH,
    DOORS,
    OPENAI,
    STREAM,
    Door,
    begin,
    call,
    code,
    error,
    eventually,
    get,
    memory,
    seconds,
)
from tests.fixtures.raw import Wire
from tests.fixtures.serving import Serving, start
from tests.fixtures.upstreams import leading_to, read_request, serving

KIB, MIB = 1024, 1024 * 1024
SMALL = {
    "head_bytes": "4KiB",
    "head_fields": 20,
    "url_bytes": "1KiB",
    "body_bytes": "64KiB",
    "buffered_bytes": "80KiB",
    "head_timeout": "1s",
    "body_timeout": "4s",
    "body_silence": "2s",
    "answer_silence": "1s",
    "exchange_timeout": "6s",
    "idle_timeout": "2s",
    "write_timeout": "1s",
    "connections": 60,
    "unproved_connections": 40,
    "unproved_per_source": 30,
}
WORST = 9.0  # the longest of these times, the tick of the clock, and a busy machine


@pytest.fixture(scope="module")
def small_gateway(tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators) -> Iterator[Serving]:
    serving = start(tmp_path_factory.mktemp("limits"), shared_emulators, limits=SMALL)
    serving.key()
    yield serving
    serving.stop()


@pytest.fixture
def small(small_gateway: Serving, emulators: Emulators) -> Serving:
    return small_gateway


@pytest.fixture(params=DOORS, ids=lambda door: door.name)
def door(request: pytest.FixtureRequest) -> Door:
    found: Door = request.param
    return found


def reached(gateway: Serving, limit: str) -> float:
    """How often a limit was reached so far."""
    text = get(gateway, "/metrics", ("X-API-Key", gateway.key())).body.decode()
    lines = [line for line in text.splitlines() if line.startswith(f'limits_reached_total{{limit="{limit}"}}')]
    return float(lines[0].rpartition(" ")[2]) if lines else 0.0


@contextlib.contextmanager
def counted(gateway: Serving, limit: str) -> Iterator[None]:
    """What happens inside reaches this limit, and the metrics say so."""
    before = reached(gateway, limit)
    yield
    eventually(lambda: reached(gateway, limit) > before)


def head(gateway: Serving, door: Door, *more: tuple[str, str], method: str = "POST", path: str = CHAT_PATH) -> bytes:
    lines = [f"{method} {door.path}{path} HTTP/1.1", *(f"{n}: {v}" for n, v in (*door.headers(gateway), *more)), "", ""]
    return "\r\n".join(lines).encode()


def drip(wire: Wire, data: bytes, every: float) -> Callable[[], None]:
    """Send byte by byte from a thread until it is all sent or the connection is gone; call the result to wait."""

    def send() -> None:
        with contextlib.suppress(OSError):
            for at in range(len(data)):
                wire.send(data[at : at + 1])
                time.sleep(every)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    return thread.join


# ---- size ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ([("X-Long", "a" * 5000)], 431),
        ([(f"X-{number}", "a") for number in range(30)], 431),
        ([("X-Long", "a" * 3000)], 200),
    ],
)
def test_heads(small: Serving, emulators: Emulators, door: Door, more: list[tuple[str, str]], status: int) -> None:
    with door.open(small) as wire:
        answer = wire.send(head(small, door, *more, ("Content-Length", str(len(CHAT)))) + CHAT).answer()
        assert answer.status == status
        assert status == 200 or wire.ended()
    assert len(emulators.requests()) == (1 if status == 200 else 0)


@pytest.mark.parametrize(("length", "status"), [(900, 404), (1100, 400)])
def test_urls(small: Serving, emulators: Emulators, door: Door, length: int, status: int) -> None:
    with door.open(small) as wire:
        answer = wire.send(head(small, door, method="GET", path="/v1/models?" + "q" * length)).answer()
    assert (answer.status == 400) is (status == 400)
    assert len(emulators.requests()) == (0 if status == 400 else 1)


def test_a_body_over_the_limit_is_refused_at_its_head(small: Serving, emulators: Emulators, door: Door) -> None:
    with door.open(small) as wire:
        answer = wire.send(head(small, door, ("Content-Length", str(64 * KIB + 1)))).answer()
        assert (answer.status, code(answer)) == (413, "request_too_large")
        assert "64 KiB" in error(answer)["message"]
        assert wire.ended()
    assert emulators.connections == ()


def test_a_growing_body_over_the_limit_is_refused_as_it_grows(small: Serving, emulators: Emulators, door: Door) -> None:
    with door.open(small) as wire:
        wire.send(head(small, door, ("Transfer-Encoding", "chunked")))
        with contextlib.suppress(OSError):
            for _ in range(9):
                wire.send(b"2000\r\n" + b"x" * 8 * KIB + b"\r\n")
        answer = wire.answer()
    assert (answer.status, code(answer)) == (413, "request_too_large")
    assert emulators.connections == ()


def test_a_body_at_the_limit_passes(small: Serving, emulators: Emulators, door: Door) -> None:
    body = b"x" * 64 * KIB
    with door.open(small) as wire:
        begin(small, wire, body, door=door, path="/v1/echo/whole").answer()
    (seen,) = emulators.requests()
    assert seen.body == body


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators) -> Iterator[Serving]:
    """As small, but it waits for bodies: what is to be seen there may take its time on a busy machine."""
    limits = {**SMALL, "body_timeout": "60s", "body_silence": "60s"}
    serving = start(tmp_path_factory.mktemp("patient"), shared_emulators, limits=limits)
    serving.key()
    yield serving
    serving.stop()


def test_bodies_that_are_too_much_together_find_no_room(patient: Serving, emulators: Emulators, door: Door) -> None:
    """What is there already counts, and not what was only announced; a refusal says when to come again."""
    with door.open(patient) as first, door.open(patient) as second:
        announced = head(patient, door, ("Content-Length", str(60 * KIB)))
        first.send(announced)
        second.send(announced)
        first.send(b"x" * 50 * KIB)
        eventually(lambda: _refused_at_once(patient, door))
        with contextlib.suppress(OSError):
            second.send(b"x" * 50 * KIB)
        answer = second.answer()
        assert (answer.status, code(answer)) == (503, "unavailable")
        assert int(str(answer.header("retry-after"))) > 0
        assert first.send(b"x" * 10 * KIB).answer().status < 500
        with door.open(patient) as third:
            assert begin(patient, third, door=door).answer().status == 200


def _refused_at_once(gateway: Serving, door: Door) -> bool:
    with door.open(gateway) as wire:
        wire.send(head(gateway, door, ("Content-Length", str(60 * KIB))))
        wire._sock.settimeout(0.2)
        try:
            return wire.answer().status == 503
        except TimeoutError:
            return False


# ---- the time of a client ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said", [b"", b"G", b"GET / HTTP/1.1\r\nHost: x\r\n", b"CONNECT api.openai.com:443 HTTP/1.1\r\n"]
)
def test_who_says_nothing_or_not_enough_is_ended(small: Serving, said: bytes) -> None:
    with counted(small, "head_timeout"), Wire(small.port) as wire:
        wire.send(said)
        assert 0.9 < seconds(lambda: _end_of(wire, 408 if len(said) > 1 else None)) < WORST


def _end_of(wire: Wire, status: int | None) -> None:
    if status is not None:
        answer = wire.answer()
        assert (answer.status, answer.complete, answer.header("connection")) == (status, True, "close")
    assert wire.ended()


@pytest.mark.parametrize("inside", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01"])
def test_who_opens_a_tunnel_and_no_tls_in_it_is_ended(small: Serving, inside: bytes) -> None:
    with counted(small, "head_timeout"), Wire(small.port) as wire:
        assert wire.connect(f"{OPENAI}:443", small.key()).status == 200
        wire.send(inside)
        assert 0.9 < seconds(wire.ended) < WORST


def test_a_tls_hello_without_end_is_not_kept(small: Serving) -> None:
    """Its length may say 16 MiB, and nobody has proved anything yet."""
    record = b"\x16\x03\x01\x40\x00"
    with Wire(small.port) as wire:
        assert wire.connect(f"{OPENAI}:443", small.key()).status == 200
        hello = record + b"\x01\xff\xff\xff" + b"x" * (0x4000 - 4) + (record + b"x" * 0x4000) * 20
        before = memory(small.process.pid)
        with contextlib.suppress(OSError):
            wire.send(hello)
        assert seconds(wire.ended) < 0.9
    assert memory(small.process.pid) - before < 4 * MIB


def test_slowloris_a_head_that_drips_ends(small: Serving, emulators: Emulators, door: Door) -> None:
    with counted(small, "head_timeout"), door.open(small) as wire:
        finish = drip(wire, head(small, door) * 10, 0.02)
        assert 0.9 < seconds(lambda: _end_of(wire, 408)) < WORST
        finish()
    assert emulators.connections == ()


def test_the_head_of_a_later_request_has_its_own_time(small: Serving, emulators: Emulators, door: Door) -> None:
    with door.open(small) as wire:
        assert begin(small, wire, door=door).answer().status == 200
        time.sleep(1.2)
        finish = drip(wire, head(small, door) * 10, 0.02)
        assert 0.9 < seconds(lambda: _end_of(wire, 408)) < WORST
        finish()


def test_who_asks_nothing_more_is_ended(small: Serving, emulators: Emulators, door: Door) -> None:
    with counted(small, "idle_timeout"), door.open(small) as wire:
        assert begin(small, wire, door=door).answer().status == 200
        assert 1.9 < seconds(wire.ended) < WORST


def test_who_proved_nothing_may_not_stay_as_long(small: Serving) -> None:
    with Wire(small.port) as wire:
        assert get(small, "/health", wire=wire).status == 200
        assert 0.9 < seconds(wire.ended) < 1.9


def test_a_body_that_stops_is_ended(small: Serving, emulators: Emulators, door: Door) -> None:
    with counted(small, "body_silence"), door.open(small) as wire:
        wire.send(head(small, door, ("Content-Length", "100")) + b"some")
        began = time.monotonic()
        answer = wire.answer()
        assert (answer.status, code(answer), answer.complete) == (408, "request_timeout", True)
        assert 1.9 < time.monotonic() - began < WORST
        assert wire.ended()
    assert emulators.connections == ()
    assert {"code": "request_timeout", "limit": "body_silence"}.items() <= _line(small, answer).items()


def test_a_body_that_drips_is_ended(small: Serving, emulators: Emulators, door: Door) -> None:
    with counted(small, "body_timeout"), door.open(small) as wire:
        wire.send(head(small, door, ("Transfer-Encoding", "chunked")))
        finish = drip(wire, b"1\r\nx\r\n" * 300, 0.02)
        began = time.monotonic()
        assert wire.answer().status == 408
        assert 3.9 < time.monotonic() - began < WORST
        finish()
    assert emulators.connections == ()


def _line(gateway: Serving, answer: Any) -> dict[str, Any]:
    """The access log's line of an answer, which may carry the provider's own id."""
    said = answer.header("x-request-id")

    def found() -> list[dict[str, Any]]:
        lines = gateway.lines("request")
        return [line for line in lines if said in (line["request_id"], line.get("provider_request_id"))]

    eventually(lambda: found() != [])
    return found()[-1]


# ---- the time of a provider ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", [Framing.CHUNKED, Framing.LENGTH, Framing.CLOSE])
def test_a_stream_that_falls_silent_is_cut_visibly(
    small: Serving, emulators: Emulators, door: Door, framing: Framing
) -> None:
    """B5: never a clean end."""
    emulators.behave(OPENAI, Behaviour(stall_after=100, framing=framing))
    with counted(small, "answer_silence"), door.open(small) as wire:
        began = time.monotonic()
        answer = begin(small, wire, STREAM, door=door).answer()
        assert (answer.status, len(answer.body), answer.complete) == (200, 100, False)
        assert 0.9 < time.monotonic() - began < WORST
    emulators.wait(lambda seen: seen[0].client_gone, timeout=2)
    assert {"status": 200, "limit": "answer_silence", "cut": True}.items() <= _line(small, answer).items()


def test_a_short_answer_that_falls_silent_is_a_designed_one(small: Serving, emulators: Emulators, door: Door) -> None:
    """Nothing of it was sent on, so it can still be said what happened."""
    emulators.behave(OPENAI, Behaviour(stall_after=10, framing=Framing.LENGTH))
    with door.open(small) as wire:
        answer = begin(small, wire, door=door).answer()
        assert (answer.status, code(answer), answer.complete) == (504, "provider_timeout", True)
        assert begin(small, wire, door=door).answer().status == 200


def test_a_stream_that_drips_for_ever_is_cut_visibly(small: Serving, emulators: Emulators, door: Door) -> None:
    emulators.behave(OPENAI, Behaviour(framing=Framing.CHUNKED, chunk_size=8, chunk_delay=0.1, tokens=500))
    with counted(small, "exchange_timeout"), door.open(small) as wire:
        began = time.monotonic()
        answer = begin(small, wire, STREAM, door=door).answer()
        assert 5.9 < time.monotonic() - began < WORST
        assert (answer.status, answer.complete, len(answer.body) > 100) == (200, False, True)
    assert _line(small, answer)["limit"] == "exchange_timeout"


# ---- who does not read ---------------------------------------------------------------------------------------------

PIECE = b"%x\r\n%s\r\n" % (64 * KIB, b"." * 64 * KIB)
POURING = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@contextlib.contextmanager
def led_to(
    folder: Path, emulators: Emulators, answer: Callable[[ssl.SSLSocket], None], limits: dict[str, Any]
) -> Iterator[Serving]:
    """A gateway whose providers all answer like this."""
    with serving(answer, folder) as (port, ca_file):
        own = start(folder, emulators, upstream=leading_to(port, ca_file), limits=limits)
        own.key()
        for door in DOORS:
            door.open(own).close()
        try:
            yield own
        finally:
            own.stop()


def test_a_client_that_never_reads_is_ended(tmp_path: Path, shared_emulators: Emulators, door: Door) -> None:
    """B4: the provider is stopped at once, memory stays where it is, and after its time the connection goes."""
    poured: Counter[str] = Counter()

    def pour(tls: ssl.SSLSocket) -> None:
        read_request(tls)
        tls.sendall(POURING)
        try:
            for _ in range(150):
                tls.sendall(PIECE * 16)
                poured["MiB"] += 1
        except OSError:
            poured["cut"] += 1

    with led_to(tmp_path, shared_emulators, pour, {"write_timeout": "2s", "answer_silence": "1s"}) as own:
        before, peak = memory(own.process.pid), 0
        with counted(own, "write_timeout"), door.open(own) as wire:
            begin(own, wire, STREAM, door=door)
            ends = time.monotonic() + WORST
            while not poured["cut"] and time.monotonic() < ends:
                peak = max(peak, memory(own.process.pid) - before)
                time.sleep(0.02)
            assert poured["cut"] == 1
            assert poured["MiB"] < 100
            assert peak < 24 * MIB
        (line,) = [one for one in own.lines("request") if one.get("limit") == "write_timeout"]
        assert (line["status"], line["cut"]) == (200, True)
        eventually(lambda: _sockets(own) <= 4, timeout=8)


def test_a_client_that_asks_and_asks_and_reads_nothing_is_not_asked_on(small: Serving) -> None:
    before = memory(small.process.pid)
    with Wire(small.port) as wire:
        with contextlib.suppress(OSError):
            while True:
                wire.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)
        assert seconds(lambda: get(small, "/health")) < 1.0
    assert memory(small.process.pid) - before < 16 * MIB


def _sockets(gateway: Serving) -> int:
    """The sockets that the gateway has open."""
    count = 0
    for file in Path(f"/proc/{gateway.process.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            count += str(file.readlink()).startswith("socket:")
    return count


@pytest.mark.parametrize("size", [31 * MIB])
def test_a_provider_that_does_not_read_costs_one_copy_of_a_body(
    tmp_path: Path, shared_emulators: Emulators, door: Door, size: int
) -> None:
    """Nothing but the body itself is held, and a client that leaves is noticed."""
    started, gone = threading.Event(), threading.Event()

    def ignore(tls: ssl.SSLSocket) -> None:
        tls.recv(1)
        started.set()
        gone.wait(20)

    with led_to(tmp_path, shared_emulators, ignore, {}) as own:
        before, peak = memory(own.process.pid), 0
        with door.open(own, timeout=20) as wire:
            begin(own, wire, b"x" * size, door=door)
            assert started.wait(10)
            for _ in range(20):
                peak = max(peak, memory(own.process.pid) - before)
                time.sleep(0.02)
            assert peak < size + 24 * MIB
            assert b'"requests_in_flight": 2' in get(own, "/health").body
        eventually(lambda: b'"requests_in_flight": 1' in get(own, "/health").body, timeout=2)
        gone.set()
        eventually(lambda: memory(own.process.pid) - before < 24 * MIB)


def test_a_large_body_arrives_whole_at_a_provider_that_reads_slowly(
    tmp_path: Path, shared_emulators: Emulators, door: Door
) -> None:
    sums: list[tuple[int, int]] = []

    def slowly(tls: ssl.SSLSocket) -> None:
        received = read_request(tls).partition(b"\r\n\r\n")[2]
        total, check = len(received), zlib.crc32(received)
        while total < len(body):
            data = tls.recv(16 * KIB)
            total, check = total + len(data), zlib.crc32(data, check)
            if total % 7 == 0:
                time.sleep(0.001)
        sums.append((total, check))
        tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        tls.recv(1)

    body = bytes(range(251)) * 40_000
    with led_to(tmp_path, shared_emulators, slowly, {}) as own, door.open(own, timeout=20) as wire:
        assert begin(own, wire, body, door=door).answer().body == b"ok"
    assert sums == [(len(body), zlib.crc32(body))]


def test_a_provider_that_answers_early_is_heard(tmp_path: Path, shared_emulators: Emulators, door: Door) -> None:
    """It reads the head, refuses, and reads no more: the refusal comes through, and the next request goes elsewhere."""

    def refuse(tls: ssl.SSLSocket) -> None:
        tls.recv(1)
        tls.sendall(b"HTTP/1.1 429 Too Many\r\nContent-Length: 4\r\n\r\nlate")
        time.sleep(5)

    with led_to(tmp_path, shared_emulators, refuse, {}) as own, door.open(own, timeout=20) as wire:
        for _ in range(2):
            answer = begin(own, wire, b"x" * 8 * MIB, door=door).answer()
            assert (answer.status, answer.body, answer.complete) == (429, b"late", True)


def test_a_decompression_bomb_passes_as_it_is(tmp_path: Path, shared_emulators: Emulators, door: Door) -> None:
    """B3: 512 MiB of zeros, which nobody here unpacks."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(bytes(MIB)) for _ in range(512)) + packer.flush()

    def throw(tls: ssl.SSLSocket) -> None:
        read_request(tls)
        fields = b"Content-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: %d" % len(bomb)
        tls.sendall(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n\r\n" + bomb)
        tls.recv(1)

    with led_to(tmp_path, shared_emulators, throw, {}) as own:
        before = memory(own.process.pid)
        with door.open(own, timeout=20) as wire:
            answer = begin(own, wire, door=door).answer()
        assert (answer.status, answer.header("content-encoding")) == (200, "gzip")
        assert answer.body == bomb
        assert memory(own.process.pid) - before < 16 * MIB


# ---- who has proved nothing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("announced", [("Content-Length", str(1 << 30)), ("Transfer-Encoding", "chunked")])
def test_the_body_of_a_stranger_is_not_read(small: Serving, announced: tuple[str, str]) -> None:
    before = memory(small.process.pid)
    with Wire(small.port) as wire:
        wire.send(f"POST /transparent/openai{CHAT_PATH} HTTP/1.1\r\nHost: x\r\n{': '.join(announced)}\r\n\r\n".encode())
        began = time.monotonic()
        assert wire.answer().status == 401
        assert time.monotonic() - began < 1.0
        with contextlib.suppress(OSError):
            for _ in range(100):
                wire.send(b"100000\r\n" + b"x" * MIB + b"\r\n")
    assert memory(small.process.pid) - before < 16 * MIB


def hold(port: int, count: int, said: bytes = b"") -> list[socket.socket]:
    """Connections on which nothing is proved."""
    held = []
    for _ in range(count):
        held.append(socket.create_connection(("127.0.0.1", port), 5.0))
        held[-1].sendall(said)
    return held


def ended(sockets: list[socket.socket]) -> int:
    """How many of them the other side has closed."""
    count = 0
    for sock in sockets:
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            try:
                count += sock.recv(1) == b""
            except ConnectionError:
                count += 1
    return count


@pytest.fixture
def crowded(tmp_path: Path, emulators: Emulators) -> Iterator[Serving]:
    """A gateway with little room, and much time."""
    room = {"connections": 20, "unproved_connections": 12, "unproved_per_source": 8}
    own = start(tmp_path, emulators, limits=room)
    own.key()
    yield own
    own.stop()


def test_of_those_who_prove_nothing_the_oldest_go(crowded: Serving) -> None:
    with counted(crowded, "unproved_per_source"):
        held = hold(crowded.port, 12, b"GET / HT")
        eventually(lambda: ended(held) == 4)
        assert ended(held[4:]) == 0
    for sock in held:
        sock.close()


def test_who_comes_finds_room_among_those_who_prove_nothing(crowded: Serving) -> None:
    with counted(crowded, "connections"):
        held = hold(crowded.port, 60)
        assert call(crowded).status == 200
    for sock in held:
        sock.close()


def test_when_there_is_no_room_at_all_a_connection_is_closed(crowded: Serving, emulators: Emulators) -> None:
    wires = [Wire(crowded.port) for _ in range(20)]
    for wire in wires:
        assert begin(crowded, wire).answer().status == 200
    with Wire(crowded.port) as late:
        assert seconds(late.ended) < 1.0
    wires.pop().close()
    eventually(lambda: _calls(crowded))
    for wire in wires:
        assert begin(crowded, wire).answer().status == 200  # who was there is not hurt
        wire.close()
    assert reached(crowded, "connections") > 0


def _calls(gateway: Serving) -> bool:
    try:
        return call(gateway).status == 200
    except (EOFError, OSError):
        return False


def test_there_are_never_more_connections_than_files(tmp_path: Path, emulators: Emulators) -> None:
    """The limit of open files is raised as far as the system lets us, and what is left is divided."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    try:
        own = start(tmp_path, emulators)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    raised = resource.prlimit(own.process.pid, resource.RLIMIT_NOFILE)
    assert raised[0] == min(hard, 65536)
    own.stop()


@pytest.mark.parametrize("said", [b"", b"POST /transparent/openai/v1/chat/completions HTTP/1.1\r\nHost: x\r\nX: "])
def test_a_thousand_half_open_connections_do_not_hurt_others(tmp_path: Path, emulators: Emulators, said: bytes) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    own = start(tmp_path, emulators)
    own.key()
    before = memory(own.process.pid)
    held = hold(own.port, 1000, said)
    took = [seconds(lambda: call(own)) for _ in range(60)]
    assert statistics.quantiles(took, n=20)[-1] < 1.0
    assert memory(own.process.pid) - before < 64 * MIB
    eventually(lambda: ended(held) >= 500)
    for sock in held:
        sock.close()
    own.stop()


def test_no_limit_broke_a_layer(small: Serving) -> None:
    """Runs last: all of the above went the designed way."""
    assert small.lines("A protocol layer failed; its connections were closed") == []
    assert small.lines("A stage failed; the request was refused") == []
    assert "The deadlines could not be checked" not in small.log()
    assert "Traceback" not in small.log()
