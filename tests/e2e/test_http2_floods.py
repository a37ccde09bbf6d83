"""HTTP/2 in anger: every way known to make a server work or remember for next to nothing, each ended by a GOAWAY."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    ExtensionFrame,
    Frame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from llmauth.demo.behaviour import Behaviour, Framing
from llmauth.demo.emulators import Emulators
from tests.fixtures.calls import STREAM, eventually, memory
from tests.fixtures.h2raw import Client, head, in_tunnel
from tests.fixtures.serving import Serving, start

OPENAI = "api.openai.com"
CALM = 11  # ENHANCE_YOUR_CALM
MIB = 1024 * 1024
MODELS = head("/v1/models", OPENAI)
CHAT = head("/v1/chat/completions", OPENAI, ("content-type", "application/json"), method="POST")


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators) -> Iterator[Serving]:
    serving = start(tmp_path_factory.mktemp("attacked"), shared_emulators, level="info")
    serving.key()
    yield serving
    serving.stop()


@pytest.fixture
def victim(attacked: Serving, emulators: Emulators) -> Iterator[Client]:
    with in_tunnel(attacked.port, OPENAI, attacked.key(), attacked.ca_file) as client:
        yield client


def _body_of(client: Client, frame: Callable[[int], Frame], count: int) -> list[Frame]:
    stream = client.open(CHAT, end=False)
    return [frame(stream) for _ in range(count)]


def _heads(client: Client, count: int, behind: Callable[[int], list[Frame]]) -> list[Frame]:
    frames: list[Frame] = []
    for number in range(1, 2 * count, 2):
        frames.append(HeadersFrame(number, client.encoder.encode(CHAT), flags=["END_HEADERS"]))
        frames += behind(number)
    return frames


def _settings(client: Client) -> list[Frame]:
    return [SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: number}) for number in range(200)]


def _continuations(data: bytes, count: int) -> list[Frame]:
    # Literals without indexing, so that each frame is a part of a valid head.
    first = HeadersFrame(1, b"\x00\x01a" + bytes([len(data)]) + data)
    return [first, *(ContinuationFrame(1, data) for _ in range(count))]


def _bomb(client: Client) -> list[Frame]:
    """Four kilobytes in the table, named two thousand times in two kilobytes."""
    big = Encoder().encode([(":method", "GET"), ("x-big", "y" * 4000)])
    return [HeadersFrame(1, big + b"\xbe" * 2000, flags=["END_HEADERS", "END_STREAM"])]


def _unopened(client: Client) -> list[Frame]:
    """CVE-2025-8671: the reset is ours, and made by an increment that overflows the window."""
    too_much = 2**31 - 1
    return _heads(client, 400, lambda number: [WindowUpdateFrame(number, window_increment=too_much)])


FLOODS: dict[str, Callable[[Client], list[Frame]]] = {
    "streams that are reset": lambda c: _heads(c, 400, lambda number: [RstStreamFrame(number, error_code=8)]),
    "streams that we must reset": _unopened,
    "streams over the limit": lambda c: _heads(c, 400, lambda number: []),
    "streams with another length": lambda c: _heads(c, 400, lambda n: [DataFrame(n, b"", flags=["END_STREAM"])]),
    "settings": _settings,
    "acknowledged settings": lambda c: [SettingsFrame(0, flags=["ACK"]) for _ in range(200)],
    "pings": lambda c: [PingFrame(0, b"01234567") for _ in range(2000)],
    "priorities": lambda c: [PriorityFrame(n * 2 + 1, depends_on=0, stream_weight=1) for n in range(2000)],
    "window updates of the connection": lambda c: [WindowUpdateFrame(0, window_increment=1) for _ in range(3000)],
    "window updates of a stream": lambda c: _body_of(c, lambda n: WindowUpdateFrame(n, window_increment=1), 3000),
    "empty data": lambda c: _body_of(c, lambda n: DataFrame(n, b""), 500),
    "data that is padding": lambda c: _body_of(c, lambda n: DataFrame(n, b"", pad_length=200, flags=["PADDED"]), 500),
    "data byte by byte": lambda c: _body_of(c, lambda n: DataFrame(n, b"x"), 12_000),
    "unknown frames": lambda c: [ExtensionFrame(type=0xBE, stream_id=0, flag_byte=0, body=b"") for _ in range(500)],
    "empty continuations": lambda c: _continuations(b"", 3),
    "continuations without end": lambda c: _continuations(b"\x00\x01a\x05hello", 60),
    "a head without end": lambda c: _continuations(b"y" * 126, 1) + [ContinuationFrame(1, b"z" * 16_000)] * 10,
    "a bomb": _bomb,
    "a window update of nothing": lambda c: [],
}
NOTHING = b"\x00\x00\x04\x08\x00\x00\x00\x00\x00" + b"\x00" * 4  # hyperframe would not write it


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_ends_its_connection(victim: Client, attacked: Serving, name: str) -> None:
    frames = FLOODS[name](victim)
    try:
        victim.send(*frames) if frames else victim.send_bytes(NOTHING)
        victim.read_until(lambda: victim.closed)
    except OSError:
        pass
    victim.read_until(lambda: victim.closed)
    assert victim.goaway is not None
    assert victim.goaway.error_code == (1 if name == "a window update of nothing" else CALM)
    assert len(victim.pings) <= 300
    with in_tunnel(attacked.port, OPENAI, attacked.key(), attacked.ca_file) as other:
        assert other.request(head("/v1/models", OPENAI)).status == 200
    assert "A protocol layer failed" not in attacked.log()


def test_refusals_without_end(attacked: Serving, emulators: Emulators) -> None:
    """A stranger that tries key after key on one connection is sent away from it."""
    with in_tunnel(attacked.port, OPENAI, None, attacked.ca_file) as client:
        while not client.closed and client.next_id < 1000:
            streams = [client.open([*MODELS, ("authorization", "Bearer llmauth_wrong")]) for _ in range(20)]
            for stream in streams:
                client.answer(stream, 20.0)
        statuses = [stream.status for stream in client.streams.values()]
        assert 100 <= statuses.count(401) < 500
        assert client.goaway is not None
        assert client.goaway.error_code == CALM
    assert not emulators.requests()


def test_the_101st_stream_is_told_to_come_back(attacked: Serving, emulators: Emulators) -> None:
    """B2: the hundred go on; the one too many is refused in a way that says that nothing was done about it."""
    emulators.behave(OPENAI, Behaviour(first_byte_delay=1.0), times=None)
    with in_tunnel(attacked.port, OPENAI, attacked.key(), attacked.ca_file) as client:
        streams = [client.open(head("/v1/models", OPENAI)) for _ in range(101)]
        assert client.answer(streams[-1]).reset == 7  # REFUSED_STREAM
        answers = [client.answer(stream, 20.0) for stream in streams[:-1]]
    assert client.settings[SettingsFrame.MAX_CONCURRENT_STREAMS] == 100
    assert [answer.status for answer in answers] == [200] * 100
    seen = emulators.requests()
    assert len(seen) == 100
    assert len({one.connection for one in seen}) == 100
    assert max(one.received_at for one in seen) - min(one.received_at for one in seen) < 8


def test_a_client_that_grants_no_window_is_not_read_for(attacked: Serving, emulators: Emulators) -> None:
    """B4: 300 MB of answer, a client that takes none of it, and a memory that stays where it was."""
    emulators.behave(OPENAI, Behaviour(body=b"x" * (300 * MIB), framing=Framing.CHUNKED))
    before = memory(attacked.process.pid)
    with in_tunnel(attacked.port, OPENAI, attacked.key(), attacked.ca_file, window=0) as client:
        stream = client.open(CHAT, end=False)
        client.body(stream, STREAM)
        client.read_until(lambda: bool(client.streams[stream].heads))
        peak = 0
        ends = time.monotonic() + 3
        while time.monotonic() < ends:
            client.read(0.1)
            peak = max(peak, memory(attacked.process.pid))
        assert peak - before < 64 * MIB
        assert client.streams[stream].body == b""
        # Other streams of the same connection go on meanwhile.
        small = client.open(head("/v1/models", OPENAI))
        client.send(WindowUpdateFrame(small, window_increment=65535))
        assert client.answer(small).status == 200
        # And the answer itself, as soon as its client wants it.
        client.send(WindowUpdateFrame(stream, window_increment=4 * MIB), WindowUpdateFrame(0, window_increment=8 * MIB))
        client.read_until(lambda: len(client.streams[stream].body) == 4 * MIB, 20.0)
        client.send(RstStreamFrame(stream, error_code=8))
        eventually(lambda: emulators.requests()[0].client_gone)


def test_a_client_that_grants_no_window_at_all(attacked: Serving, emulators: Emulators) -> None:
    """A hundred such answers at once, each on the window of the connection, which is soon used up."""
    emulators.behave(OPENAI, Behaviour(body=b"x" * (10 * MIB), framing=Framing.CHUNKED), times=None)
    before = memory(attacked.process.pid)
    with in_tunnel(attacked.port, OPENAI, attacked.key(), attacked.ca_file, window=2**31 - 1) as client:
        for _ in range(30):
            client.body(client.open(CHAT, end=False), STREAM)
        ends, peak = time.monotonic() + 4, 0
        while time.monotonic() < ends:
            client.read(0.1)
            peak = max(peak, memory(attacked.process.pid))
    assert sum(len(stream.body) for stream in client.streams.values()) == 65535
    assert peak - before < 64 * MIB


def test_a_window_that_becomes_less_than_nothing(victim: Client, emulators: Emulators) -> None:
    """RFC 9113, 6.9.2: a smaller setting may leave a window below zero; nothing is lost and nothing fails."""
    victim.grants = False
    emulators.behave(OPENAI, Behaviour(body=b"x" * 300_000, framing=Framing.CHUNKED))
    stream = victim.open(CHAT, end=False)
    victim.body(stream, STREAM)
    victim.read_until(lambda: len(victim.streams[stream].body) == 65535)
    victim.send(SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 10}))
    victim.send(WindowUpdateFrame(0, window_increment=400_000))
    assert not victim.read(0.3) or victim.goaway is None
    assert len(victim.streams[stream].body) == 65535
    victim.send(WindowUpdateFrame(stream, window_increment=400_000))
    assert len(victim.answer(stream).body) == 300_000
    assert victim.streams[stream].ended


def test_the_clients_table_is_not_ours_to_fill(victim: Client, attacked: Serving) -> None:
    """A client may allow us gigabytes of remembered heads; we use none of them."""
    victim.send(SettingsFrame(0, settings={SettingsFrame.HEADER_TABLE_SIZE: 2**31 - 1}))
    before = memory(attacked.process.pid)
    for _ in range(300):
        assert victim.request(head("/v1/models", OPENAI)).status == 200
    assert memory(attacked.process.pid) - before < 20 * MIB
