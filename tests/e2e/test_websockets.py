"""WebSockets over real sockets: through both doors, in both directions, and to their end, whoever brings that about."""

from __future__ import annotations

import contextlib
import signal
import time
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from llmauth.demo.emulators import Emulators
from tests.fixtures.calls import OPENAI, eventually, get, memory, seconds
from tests.fixtures.raw import Wire, tunnel
from tests.fixtures.serving import Serving
from tests.fixtures.sockets import (
    BINARY,
    CLOSE,
    COMPRESSED,
    PING,
    PONG,
    TEXT,
    Socket,
    frame,
    handshake,
    opened,
)

MIB = 1024 * 1024
NATIVE = "/v1/realtime?model=gpt-realtime"
BY_PATH = "/transparent/openai/v1/realtime?model=gpt-realtime"


def by_path(gateway: Serving, *more: tuple[str, str], name: str = "test", path: str = BY_PATH) -> Socket:
    fields = handshake(("Authorization", f"Bearer {gateway.key(name)}"), *more)
    return opened(Wire(gateway.port), path, fields)[0]


def by_tunnel(gateway: Serving, *more: tuple[str, str], name: str = "test", path: str = NATIVE) -> Socket:
    wire = tunnel(gateway.port, OPENAI, gateway.key(name), gateway.ca_file)
    return opened(wire, path, handshake(("Authorization", "Bearer sk-placeholder"), *more, host=OPENAI))[0]


each_door = pytest.mark.parametrize("door", [by_path, by_tunnel])


def told(gateway: Serving) -> list[dict[str, Any]]:
    return [line for line in gateway.lines("request") if line["status"] == 101]


@each_door
def test_realtime_events_go_to_and_fro(gateway: Serving, emulators: Emulators, door: Callable[..., Socket]) -> None:
    with door(gateway) as socket:
        assert socket.event()["session"]["model"] == "gpt-realtime"
        socket.say({"type": "session.update", "session": {"instructions": "Be short."}})
        assert socket.event()["session"]["instructions"] == "Be short."
        kinds = [event["type"] for event in socket.say({"type": "response.create"}).until("response.done")]
        assert kinds.count("response.output_text.delta") == 12
    (seen,) = emulators.requests()
    assert seen.values("authorization") == [f"Bearer {emulators.credentials.openai_key}".encode()]
    assert seen.target == NATIVE.encode()


@each_door
def test_responses_go_over_a_websocket(gateway: Serving, door: Callable[..., Socket]) -> None:
    path = "/v1/responses" if door is by_tunnel else "/transparent/openai/v1/responses"
    with door(gateway, path=path) as socket:
        events = socket.say({"type": "response.create", "model": "gpt-5", "input": "hi"}).until("response.completed")
    assert events[0]["type"] == "response.created"


@each_door
def test_frames_pass_as_they_are(gateway: Serving, door: Callable[..., Socket]) -> None:
    """Pieces, control frames between them, empty ones, long ones: what goes in comes out."""
    sent = [
        frame(TEXT, b"one, ", final=False),
        frame(PING, b"alive?"),
        frame(0, "zwei: \N{SNOWMAN}".encode()),
        frame(BINARY, b""),
        frame(BINARY, bytes(126)),
        frame(BINARY, bytes(range(256)) * 300),
    ]
    with door(gateway) as socket:
        socket.event()
        socket.send(b"".join(sent))
        read = [socket.read() for _ in sent]
    assert [(each.first, each.payload) for each in read if each] == [
        (TEXT, b"one, "),
        (0x80 | PONG, b"alive?"),
        (0x80, "zwei: \N{SNOWMAN}".encode()),
        (0x80 | BINARY, b""),
        (0x80 | BINARY, bytes(126)),
        (0x80 | BINARY, bytes(range(256)) * 300),
    ]


def test_one_byte_at_a_time_is_the_same(gateway: Serving) -> None:
    with by_path(gateway) as socket:
        socket.event()
        for byte in frame(TEXT, b"slowly") + frame(BINARY, bytes(300)):
            socket.send(bytes([byte]))
        assert [each.payload for each in (socket.read(), socket.read()) if each] == [b"slowly", bytes(300)]


def test_compression_is_between_client_and_provider(gateway: Serving, emulators: Emulators) -> None:
    """permessage-deflate is agreed on by them, and nothing is unpacked on the way."""
    offer = ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits, x-unknown")
    fields = handshake(("Authorization", f"Bearer {gateway.key()}"), offer)
    socket, answer = opened(Wire(gateway.port), f"{BY_PATH}&emulator_deflate=1", fields)
    with socket:
        assert answer.header(
            "Sec-WebSocket-Extensions",
        ).startswith("permessage-deflate;")
        assert emulators.requests()[0].values("sec-websocket-extensions") == [offer[1].encode()]
        socket.event()
        packer = zlib.compressobj(wbits=-15)
        packed = (packer.compress(b"la" * 5000) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]
        echoed = socket.send(frame(TEXT, packed, flags=COMPRESSED)).read()
    assert echoed is not None
    assert (echoed.first, echoed.payload) == (0x80 | COMPRESSED | TEXT, packed)


def test_a_browser_puts_its_key_among_the_subprotocols(gateway: Serving, emulators: Emulators) -> None:
    """The key alone is cut out, the others stay byte for byte, and the provider's choice comes back."""
    key = gateway.key()
    offered = f"realtime, openai-insecure-api-key.{key}, openai-beta.realtime-v1"
    socket, answer = opened(Wire(gateway.port), BY_PATH, handshake(("Sec-WebSocket-Protocol", offered)))
    with socket:
        assert socket.event()["type"] == "session.created"
    assert answer.header("Sec-WebSocket-Protocol") == "realtime"
    (seen,) = emulators.requests()
    assert seen.values("sec-websocket-protocol") == [b"realtime, openai-beta.realtime-v1"]
    assert key.encode() not in seen.head


def test_a_key_alone_among_the_subprotocols_leaves_no_header(gateway: Serving, emulators: Emulators) -> None:
    offered = ("Sec-WebSocket-Protocol", f"openai-insecure-api-key.{gateway.key()}")
    socket, answer = opened(Wire(gateway.port), BY_PATH, handshake(offered))
    socket.close()
    assert answer.values("Sec-WebSocket-Protocol") == []
    assert emulators.requests()[0].values("sec-websocket-protocol") == []


def test_a_placeholder_among_the_subprotocols_is_cut_out_in_a_tunnel(gateway: Serving, emulators: Emulators) -> None:
    with by_tunnel(gateway, ("Sec-WebSocket-Protocol", "realtime,openai-insecure-api-key.sk-placeholder")) as socket:
        assert socket.event()["type"] == "session.created"
    assert emulators.requests()[0].values("sec-websocket-protocol") == [b"realtime"]


def test_only_the_handshake_differs_upstream(gateway: Serving, emulators: Emulators) -> None:
    more = [("Origin", "https://app.example"), ("OpenAI-Safety-Identifier", "u1"), ("User-Agent", "test/1")]
    with by_tunnel(gateway, *more):
        (seen,) = emulators.requests()
    names = [name.decode() for name, _ in seen.headers]
    assert names == [
        *("Host", "Sec-WebSocket-Version", "Sec-WebSocket-Key", "Origin", "OpenAI-Safety-Identifier", "User-Agent"),
        *("Connection", "Upgrade", "X-Request-Id", "Authorization"),
    ]


# How it ends


@each_door
def test_a_goodbye_is_answered_and_ends_both_sides(
    gateway: Serving, emulators: Emulators, door: Callable[..., Socket]
) -> None:
    with door(gateway) as socket:
        socket.event()
        answered = socket.send(frame(CLOSE, (1000).to_bytes(2) + b"done")).read()
        assert answered is not None
        assert (answered.opcode, answered.code, answered.payload[2:]) == (CLOSE, 1000, b"done")
        assert socket.read() is None
    eventually(lambda: emulators.connections[-1].closed_at is not None, 2.0)
    assert not emulators.requests()[-1].client_gone


@each_door
def test_a_goodbye_of_the_provider_passes(gateway: Serving, door: Callable[..., Socket]) -> None:
    with door(gateway) as socket:
        socket.event()
        said = socket.say({"type": "emulator.close", "code": 4321}).read()
        assert said is not None
        assert said.code == 4321
        socket.send(frame(CLOSE, said.payload))
        assert socket.read() is None


@each_door
@pytest.mark.parametrize("how", ["fin", "rst", "close"])
def test_b5_a_provider_that_breaks_off_is_no_goodbye(gateway: Serving, door: Callable[..., Socket], how: str) -> None:
    """B5: no Close frame means 1006 to a client; a clean 1000 would be a lie."""
    with door(gateway) as socket:
        socket.event()
        took = seconds(lambda: [socket.say({"type": "emulator.cut", "how": how}), socket.read()])
        assert took < 2.0
    eventually(lambda: told(gateway)[-1].get("cut") is True)


@each_door
def test_b5_a_frame_that_breaks_off_stays_broken(gateway: Serving, door: Callable[..., Socket]) -> None:
    with door(gateway) as socket:
        socket.event()
        socket.say({"type": "emulator.half"})
        with pytest.raises(EOFError):
            socket.read()


@each_door
@pytest.mark.parametrize("leave", [Wire.close, Wire.reset])
def test_b4_a_client_that_leaves_ends_the_providers_side(
    gateway: Serving, emulators: Emulators, door: Callable[..., Socket], leave: Callable[[Wire], None]
) -> None:
    """B4: within two seconds."""
    socket = door(gateway)
    socket.event()
    leave(socket.wire)
    assert eventually(lambda: emulators.requests()[-1].client_gone, 2.0) < 2.0


@each_door
def test_a5_a_revoked_key_ends_its_sockets_within_a_second(
    gateway: Serving, emulators: Emulators, door: Callable[..., Socket]
) -> None:
    """A5: with a word to the client, and nothing more to the provider."""
    name = f"revoked-{door.__name__}"
    with door(gateway, name=name) as socket, by_path(gateway) as other:
        socket.event()
        other.event()
        gateway.llmauth("keys", "revoke", name)
        began = time.monotonic()
        said = socket.read()
        assert said is not None
        assert (said.opcode, said.code, said.payload[2:]) == (CLOSE, 1008, b"the key is no longer valid")
        socket.send(frame(CLOSE, said.payload[:2]))
        assert socket.read() is None
        assert time.monotonic() - began < 1.0
        eventually(lambda: sum(seen.answered_at is not None or seen.client_gone for seen in emulators.requests()) == 1)
        assert other.say({"type": "session.update"}).event()["type"] == "session.updated"


def test_a5_a_client_that_does_not_answer_the_goodbye_is_closed(gateway: Serving) -> None:
    with by_path(gateway, name="revoked-mute") as socket:
        socket.event()
        gateway.llmauth("keys", "revoke", "revoked-mute")
        began = time.monotonic()
        assert socket.read() is not None
        assert socket.read() is None
        assert time.monotonic() - began < 1.2


def test_a5_the_tunnels_key_counts_beside_the_requests_own(gateway: Serving) -> None:
    key = gateway.llmauth("keys", "create", "of-the-same", "--user", "same").strip()
    gateway.llmauth("keys", "create", "of-the-tunnel", "--user", "same")
    wire = tunnel(gateway.port, OPENAI, gateway.llmauth("keys", "rotate", "of-the-tunnel").split()[-1], gateway.ca_file)
    with opened(wire, NATIVE, handshake(("Authorization", f"Bearer {key}"), host=OPENAI))[0] as socket:
        socket.event()
        gateway.llmauth("keys", "revoke", "of-the-tunnel")
        said = socket.read()
        assert said is not None
        assert said.code == 1008


def test_a5_an_expired_key_ends_its_socket(gateway: Serving) -> None:
    key = gateway.llmauth("keys", "create", "short", "--expires", "3s").strip()
    began = time.monotonic()
    with opened(Wire(gateway.port), BY_PATH, handshake(("X-API-Key", key)))[0] as socket:
        socket.event()
        said = socket.read()
        assert said is not None
        assert said.code == 1008
        assert time.monotonic() - began < 4.5


def test_a5_a_flood_is_ended_between_two_frames(gateway: Serving) -> None:
    """The client is told in the middle of a stream, and no frame is torn."""
    with by_path(gateway, name="revoked-flood") as socket:
        socket.event()
        socket.say({"type": "emulator.flood", "bytes": 4096 * MIB})
        gateway.llmauth("keys", "revoke", "revoked-flood")
        began, said = time.monotonic(), socket.read()
        while said is not None and said.opcode == BINARY:
            assert len(said.payload) == 16 * 1024
            said = socket.read()
        assert said is not None
        assert said.code == 1008
        assert time.monotonic() - began < 2.0


def test_a5_a_client_that_never_reads_is_closed_as_well(gateway: Serving, emulators: Emulators) -> None:
    """What waits to be read may still be read for a second; then the connection is gone."""
    with by_path(gateway, name="revoked-deaf") as socket:
        socket.event()
        socket.say({"type": "emulator.flood", "bytes": 512 * MIB})
        time.sleep(0.3)
        gateway.llmauth("keys", "revoke", "revoked-deaf")
        assert eventually(lambda: emulators.connections[-1].closed_at is not None, 2.0) < 1.0
        time.sleep(1.5)
        left = 0
        while data := socket.wire.read(MIB):
            left += len(data)
        assert left < 16 * MIB, "what was under way, and no more"


def test_f4_a_drain_waits_for_sockets_and_then_says_goodbye(serve: Callable[..., Serving]) -> None:
    """F4: they count as running; at the limit they are told 1001, and the process ends well."""
    gateway = serve(server={"drain_timeout": "1s"})
    with by_path(gateway) as socket, by_tunnel(gateway) as other:
        socket.event()
        other.event()
        gateway.process.send_signal(signal.SIGTERM)
        eventually(lambda: "Draining" in gateway.log())
        assert socket.say({"type": "session.update"}).event()["type"] == "session.updated"
        for each in (socket, other):
            said = each.read()
            assert said is not None
            assert (said.code, said.payload[2:]) == (1001, b"the gateway is shutting down")
            each.send(frame(CLOSE, said.payload[:2]))
    assert gateway.process.wait(5.0) == 0


def test_f4_a_drain_ends_with_the_last_socket(serve: Callable[..., Serving]) -> None:
    gateway = serve()
    with by_path(gateway) as socket:
        socket.event()
        gateway.process.send_signal(signal.SIGTERM)
        eventually(lambda: "Draining" in gateway.log())
        socket.send(frame(CLOSE, b""))
    assert gateway.process.wait(5.0) == 0


QUIET = {"limits": {"answer_silence": "1s"}}


def test_who_answers_pings_stays_and_who_does_not_is_closed(serve: Callable[..., Serving]) -> None:
    gateway = serve(**QUIET)
    with by_path(gateway) as socket:
        socket.event()
        asked, ends = None, time.monotonic() + 2.2
        while time.monotonic() < ends:
            asked = socket.read()
            assert asked is not None
            assert asked.opcode in (PING, PONG), "the provider's Pong comes through, and means nothing to a client"
            if asked.opcode == PING:
                socket.send(frame(PONG, asked.payload))
        while asked is not None and asked.opcode != CLOSE:  # and from here on no answer is given
            asked = socket.read()
        assert asked is not None
        assert asked.code == 1001


def test_a_socket_has_the_time_of_any_exchange(serve: Callable[..., Serving]) -> None:
    gateway = serve(limits={"exchange_timeout": "1s"})
    with by_path(gateway) as socket:
        socket.event()
        said = socket.read()
        assert said is not None
        assert (said.code, said.payload[2:]) == (1001, b"the time for one socket is over")


def test_a_provider_that_lives_no_more_is_given_up(serve: Callable[..., Serving]) -> None:
    gateway = serve(**QUIET)
    with by_path(gateway) as socket:
        socket.event()
        socket.say({"type": "emulator.deaf"})
        said = socket.read()
        while said is not None and said.opcode == PING:
            said = socket.send(frame(PONG, b"")).read()
        assert said is not None
        assert said.code == 1014


# What it costs, and what is told of it


def test_what_became_of_it_is_told_once(gateway: Serving) -> None:
    before = len(told(gateway))
    with by_path(gateway) as socket:
        socket.event()
        socket.send(frame(BINARY, bytes(1000))).read()
        assert len(told(gateway)) == before, "told while it is open"
        time.sleep(0.2)
        socket.send(frame(CLOSE, b"")).read()
    eventually(lambda: len(told(gateway)) > before)
    (line,) = told(gateway)[before:]
    assert line["bytes_in"] == 4 + 4 + 1000 + 6
    assert line["bytes_out"] > 1000
    assert line["ms"] > 200
    assert line["user"] == "test"
    assert "cut" not in line
    shown = get(gateway, "/metrics", ("X-API-Key", gateway.key())).body.decode()
    assert 'http_requests_total{method="GET",status="101"}' in shown
    assert 'websocket_bytes_total{direction="in",instance="openai"}' in shown


def test_b4_a_slow_reader_costs_no_memory(serve: Callable[..., Serving]) -> None:
    """B4: 200 MB through a client that does not read, and then does: under 64 MiB."""
    gateway = serve(level="info")
    with by_path(gateway) as socket:
        socket.event()
        before = memory(gateway.process.pid)
        socket.say({"type": "emulator.flood", "bytes": 200 * MIB})
        time.sleep(1.0)
        assert memory(gateway.process.pid) - before < 64 * MIB
        left = 200 * MIB + 200 * 64 * 4  # a head of 4 bytes each 16 KiB
        while left > 0:
            left -= len(socket.wire.read(MIB))
            assert left >= 0
        assert memory(gateway.process.pid) - before < 64 * MIB


def test_b4_a_provider_that_does_not_read_stops_the_client(serve: Callable[..., Serving]) -> None:
    gateway = serve(level="info")
    with by_path(gateway) as socket:
        socket.event()
        before = memory(gateway.process.pid)
        socket.say({"type": "emulator.deaf"})
        socket.wire._sock.settimeout(1.0)
        piece, sent = frame(BINARY, bytes(256 * 1024)), 0
        with contextlib.suppress(TimeoutError):
            while sent < 200 * MIB:
                socket.send(piece)
                sent += len(piece)
        assert sent < 64 * MIB
        socket.close()
        assert eventually(lambda: len(told(gateway)) == 1, 2.0) < 2.0, "B4: that it left is noticed, though unread"
        assert memory(gateway.process.pid) - before < 64 * MIB


def test_a_slow_reader_gets_all_that_was_said_before_the_goodbye(gateway: Serving) -> None:
    """The provider is gone long before it has read."""
    with by_path(gateway) as socket:
        socket.event()
        socket.say({"type": "emulator.flood", "bytes": 8 * MIB})
        socket.say({"type": "emulator.cut", "how": "close"})
        time.sleep(2.0)
        received = 0
        while (read := socket.read()) is not None:
            received += len(read.payload)
        assert received > MIB, "all that had left the provider"


def test_a_client_that_does_not_read_may_still_send(gateway: Serving) -> None:
    """The directions wait for themselves alone; one that stood still for the other would never move again."""
    with by_path(gateway) as socket:
        socket.event()
        socket.say({"type": "emulator.flood", "bytes": 64 * MIB})
        time.sleep(0.3)
        for _ in range(100):
            socket.send(frame(BINARY, bytes(256 * 1024)))
        socket.say({"type": "emulator.report"})
        received = 0
        while True:
            read = socket.read()
            assert read is not None
            if read.opcode == TEXT:
                received = read.event["received"]
                break
        assert received > 25 * MIB


def test_two_hundred_idle_sockets_cost_little(serve: Callable[..., Serving]) -> None:
    gateway = serve(level="info")
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(by_path(gateway))
        before = memory(gateway.process.pid)
        many = [stack.enter_context(by_path(gateway)) for _ in range(200)]
        assert memory(gateway.process.pid) - before < 64 * MIB
        assert seconds(lambda: get(gateway, "/health")) < 0.25
        for each in (first, *many):
            each.event()
            assert each.say({"type": "session.update"}).event()["type"] == "session.updated"
        gateway.llmauth("keys", "revoke", "test")
        for each in many:
            said = each.read()
            assert said is not None
            assert said.code == 1008
