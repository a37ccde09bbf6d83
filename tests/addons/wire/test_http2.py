"""The layer alone: a client that is h2's own, providers that are bytes, and hooks that are played at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    InformationalResponseReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from mitmproxy import http
from mitmproxy.connection import Connection, ConnectionState, Server
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers.http import HTTPMode

from addons.exchange import Awaited
from addons.wire.http_layer import GatewayHttp
from addons.wire.install import install
from addons.wire.orders import AwaitDrain, Reading
from addons.wire.signals import Overdue
from tests.addons.layers import HOST, Exchange, Hook, context

install()

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HEAD = [(":method", "GET"), (":scheme", "https"), (":authority", "gateway"), (":path", "/v1/x")]


def route(flow: http.HTTPFlow) -> None:
    if flow.response is None:
        flow.request.data.host, flow.request.data.port, flow.request.data.scheme = *HOST, b"http"


def refuse(flow: http.HTTPFlow) -> None:
    flow.response = http.Response.make(401, b"who?", {"connection": "close"})


def streamed(flow: http.HTTPFlow) -> None:
    assert flow.response is not None
    flow.response.stream = True


def fault(flow: http.HTTPFlow) -> None:
    flow.response = http.Response.make(502, b"broken")


class Two(Exchange):
    """A whole layer whose client speaks HTTP/2."""

    def __init__(self, hooks: Mapping[str, Hook] | None = None) -> None:
        made = context()
        made.server.state = ConnectionState.CLOSED
        made.server.address = ("gateway.invalid", 1)
        made.client.alpn = b"h2"
        self.read_from: dict[Connection, bool] = {}
        self.awaiting: list[AwaitDrain] = []
        self.taken = 0
        self.client = H2Connection(H2Configuration(client_side=True))
        self.http = GatewayHttp(made, HTTPMode.transparent)
        super().__init__(self.http, made, {"request": route, "error": fault, **(hooks or {})})
        self.client.initiate_connection()
        self.turn()

    def _obey(self, command: commands.Command) -> Any:
        if isinstance(command, Reading):
            self.read_from[command.connection] = command.wanted
        if isinstance(command, AwaitDrain):
            self.awaiting.append(command)
        return super()._obey(command)

    def turn(self) -> list[Event]:
        """What the client makes of what it was told since, after it has said what it has to say."""
        happened: list[Event] = []
        while True:
            data = self.client.data_to_send()
            if data:
                self.happen(events.DataReceived(self.context.client, data))
            new, self.taken = self.to_client[self.taken :], len(self.to_client)
            if not new:
                return happened
            happened += self.client.receive_data(new)

    def ask(self, *more: tuple[str, str], end: bool = True) -> int:
        stream = self.client.get_next_available_stream_id()
        self.client.send_headers(stream, [*HEAD, *more], end_stream=end)
        return stream

    def says(self, server: Server, data: bytes) -> list[Event]:
        self.happen(events.DataReceived(server, data))
        return self.turn()


def of(happened: list[Event], kind: type[Event], stream: int) -> list[Any]:
    return [event for event in happened if isinstance(event, kind) and getattr(event, "stream_id", None) == stream]


def test_each_stream_has_a_connection_of_its_own_while_it_lasts() -> None:
    two = Two()
    streams = [two.ask() for _ in range(3)]
    two.turn()
    assert len(two.dials) == 3
    for stream, server in zip(reversed(streams), reversed(two.dials), strict=True):
        happened = two.says(server, OK)
        assert of(happened, ResponseReceived, stream)
        assert of(happened, StreamEnded, stream)
    again = two.ask()
    two.turn()
    assert len(two.dials) == 3
    assert of(two.says(two.dials[0], OK), StreamEnded, again)


def test_a_connection_that_ended_badly_is_not_used_again() -> None:
    two = Two()
    two.ask()
    two.turn()
    two.says(two.dials[0], OK + b"more than was asked for")
    two.ask()
    two.turn()
    assert len(two.dials) == 2


def test_a_dial_that_fails_is_one_streams_alone_and_known_by_its_flow() -> None:
    seen: list[http.HTTPFlow] = []

    def remember(flow: http.HTTPFlow) -> None:
        seen.append(flow)
        fault(flow)

    two = Two({"error": remember})
    two.dial = "refused"
    stream = two.ask()
    happened = two.turn()
    assert of(happened, ResponseReceived, stream)[0].headers[0] == (b":status", b"502")
    two.dial = None
    assert seen[0].server_conn is two.dials[0]
    other = two.ask()
    two.turn()
    assert of(two.says(two.dials[1], OK), StreamEnded, other)


def test_an_early_refusal_ends_its_stream_and_closes_nothing() -> None:
    two = Two({"requestheaders": refuse})
    stream = two.ask(end=False)
    happened = two.turn()
    (answered,) = of(happened, ResponseReceived, stream)
    assert dict(answered.headers)[b":status"] == b"401"
    assert b"connection" not in dict(answered.headers)
    (reset,) = of(happened, StreamReset, stream)
    assert reset.error_code == ErrorCodes.NO_ERROR
    assert (two.closed, two.half_closed, two.wakeups[1:]) == ([], [], [])
    assert not two.http.streams


def test_who_takes_nothing_is_not_read_for() -> None:
    two = Two({"responseheaders": streamed})
    stream = two.ask()
    two.turn()
    server = two.dials[0]
    happened = two.says(server, b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while two.read_from.get(server, True):
        happened += two.says(server, b"x" * 60_000)
    assert sum(len(event.data or b"") for event in of(happened, DataReceived, stream)) == 65_535
    assert two.awaiting[0].unsent() < 512 * 1024
    two.client.increment_flow_control_window(2**20)
    two.client.increment_flow_control_window(2**20, stream)
    two.turn()
    assert two.read_from[server] is True
    assert two.awaiting[0].unsent() == 0


def test_a_cut_is_a_reset() -> None:
    two = Two({"responseheaders": streamed})
    stream = two.ask()
    two.turn()
    happened = two.says(two.dials[0], b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nabc")
    two.provider_closes()
    happened += two.turn()
    assert not of(happened, StreamEnded, stream)
    assert of(happened, StreamReset, stream)[0].error_code == ErrorCodes.INTERNAL_ERROR


def test_interim_heads_come_before_the_answer() -> None:
    two = Two()
    stream = two.ask()
    two.turn()
    happened = two.says(two.dials[0], b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK)
    assert of(happened, InformationalResponseReceived, stream)[0].headers[0] == (b":status", b"103")
    assert of(happened, StreamEnded, stream)


def test_a_drain_says_goaway_when_the_last_answer_is_out() -> None:
    two = Two()
    stream = two.ask()
    two.turn()
    two.happen(events.Wakeup(two.awaiting[0]))
    assert two.turn() == []
    assert not two.closed
    happened = two.says(two.dials[0], OK)
    assert of(happened, StreamEnded, stream)
    assert isinstance(happened[-1], ConnectionTerminated)
    assert (two.closed, two.awaiting[0].unsent()) == ([], 1)  # until the client has closed, or had the time to
    two.happen(events.Wakeup(two.wakeups[-1]))
    assert (two.closed, two.awaiting[0].unsent()) == ([two.context.client], 0)


def test_overdue_is_the_same_as_a_drain() -> None:
    two = Two()
    two.ask()
    two.turn()
    two.says(two.dials[0], OK)
    assert two.http.awaited() == (Awaited.IDLE, 1)
    two.happen(Overdue())
    two.happen(events.Wakeup(two.wakeups[-1]))
    assert two.closed == [two.context.client]


def test_what_is_awaited() -> None:
    two = Two()
    assert two.http.awaited() == (Awaited.FIRST_HEAD, 1)
    two.ask()
    two.turn()
    assert two.http.awaited() == (Awaited.ANSWER, 1)


def test_a_broken_client_is_told_and_then_closed() -> None:
    two = Two()
    two.happen(*(events.DataReceived(two.context.client, b"\x00\x00\x00\x04\x01\x00\x00\x00\x00") for _ in range(100)))
    assert two.to_client.endswith(int(ErrorCodes.ENHANCE_YOUR_CALM).to_bytes(4))
    assert not two.closed
    two.happen(events.Wakeup(two.wakeups[-1]))
    assert two.closed == [two.context.client]
