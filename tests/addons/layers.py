"""mitmproxy layers without a socket: events in, commands out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any

from mitmproxy import http, options
from mitmproxy.addonmanager import Loader
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.connection import Client, Connection, ConnectionState, Server
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import HttpEvent, RequestEndOfMessage, RequestHeaders
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import tflow

from addons.wire.http1 import BoundedClient, BoundedServer

HOST = ("api.openai.com", 443)


def client(mode: str = "regular@8080") -> Client:
    """A client that has just connected."""
    return Client(
        peername=("127.0.0.1", 50000),
        sockname=("127.0.0.1", 8080),
        timestamp_start=0.0,
        proxy_mode=ProxyMode.parse(mode),
        state=ConnectionState.OPEN,
    )


def context(mode: str = "regular@8080") -> Context:
    """The context of a client connection that leads to an open provider connection."""
    choices = options.Options()
    Proxyserver().load(Loader(SimpleNamespace(options=choices)))
    made = Context(client(mode), choices)
    made.server = Server(address=HOST)
    made.server.state = ConnectionState.OPEN
    return made


def play(one: layer.Layer, *received: events.Event) -> list[commands.Command]:
    """All that the layer wants done about these events."""
    return [command for event in received for command in one.handle_event(event)]


def sent(done: Iterable[commands.Command]) -> bytes:
    """The bytes among what is to be done."""
    return b"".join(command.data for command in done if isinstance(command, commands.SendData))


def http_events(done: Iterable[commands.Command]) -> list[HttpEvent]:
    """The HTTP events that a connection layer hands on."""
    return [command.event for command in done if isinstance(command, ReceiveHttp)]


def names(happened: Iterable[Any]) -> list[str]:
    """The classes of events or commands."""
    return [type(one).__name__ for one in happened]


class Upstream:
    """The provider's side of HTTP/1, on which one request was sent."""

    def __init__(self, method: str = "POST", *layers: Any) -> None:
        self.context = context()
        self.context.layers.extend(layers)
        self.layer = BoundedClient(self.context)
        play(self.layer, events.Start())
        self.ask(1, method)

    def ask(self, stream: int, method: str = "POST") -> bytes:
        """Send a request without a body."""
        request = http.Request.make(method, "https://api.openai.com/v1/models")
        done = play(self.layer, RequestHeaders(stream, request, True), RequestEndOfMessage(stream))
        return sent(done)

    def receive(self, *pieces: bytes) -> list[HttpEvent]:
        """What is handed on when the provider sends these, one read each."""
        server = self.context.server
        return http_events(play(self.layer, *(events.DataReceived(server, piece) for piece in pieces)))

    def end(self) -> list[HttpEvent]:
        """What is handed on when the provider closes."""
        self.context.server.state = ConnectionState.CAN_WRITE
        return http_events(play(self.layer, events.ConnectionClosed(self.context.server)))


class Downstream:
    """The client's side of HTTP/1."""

    def __init__(self) -> None:
        self.context = context()
        self.layer = BoundedServer(self.context)
        play(self.layer, events.Start())

    def receive(self, *pieces: bytes) -> list[commands.Command]:
        """What is done when the client sends these, one read each."""
        return play(self.layer, *(events.DataReceived(self.context.client, piece) for piece in pieces))

    def send(self, *happened: HttpEvent) -> list[commands.Command]:
        """What is done when the stream says these."""
        return play(self.layer, *happened)


def flow(**more: Any) -> http.HTTPFlow:
    """A flow in the middle of its life; `resp=True` for one that was answered."""
    made: http.HTTPFlow = tflow.tflow(**more)
    made.live, made.client_conn.timestamp_end = True, None
    return made


Hook = Callable[[Any], None]


class Exchange:
    """A whole HTTP layer with its client and its providers, and hooks that are played at once.

    `hooks` maps a hook's name to what an addon would do; `dial` is the reply to each dial, `None` for a good one.
    """

    def __init__(self, one: layer.Layer, made: Context, hooks: Mapping[str, Hook] | None = None) -> None:
        self.layer = one
        self.context = made
        self.hooks = dict(hooks or {})
        self.dials: list[Server] = []
        self.dial: str | None = None
        self.hooked: list[str] = []
        self.flows: list[http.HTTPFlow] = []
        self.sent: dict[Connection, bytes] = {}
        self.closed: list[Connection] = []
        self.half_closed: list[Connection] = []
        self.wakeups: list[commands.RequestWakeup] = []
        self.happen(events.Start())

    def happen(self, *received: events.Event) -> None:
        """Play these events and all that follows from them."""
        waiting = deque(received)
        while waiting:
            for command in self.layer.handle_event(waiting.popleft()):
                waiting.extend(self._obey(command))

    def _obey(self, command: commands.Command) -> Iterable[events.Event]:
        match command:
            case commands.SendData():
                self.sent[command.connection] = self.sent.get(command.connection, b"") + command.data
            case commands.StartHook():
                self.hooked.append(command.name)
                if command.name == "requestheaders":
                    self.flows.extend(command.args())
                self.hooks.get(command.name, lambda data: None)(*command.args())
                return [events.HookCompleted(command)] if command.blocking else []
            case commands.OpenConnection():
                return [self._open(command)]
            case commands.CloseTcpConnection(half_close=True):
                self.half_closed.append(command.connection)
            case commands.CloseConnection():
                self.closed.append(command.connection)
                command.connection.state = ConnectionState.CLOSED
            case commands.RequestWakeup():
                self.wakeups.append(command)
        return []

    def _open(self, command: commands.OpenConnection) -> events.Event:
        assert isinstance(command.connection, Server)
        self.dials.append(command.connection)
        command.connection.error = self.dial
        if self.dial is None:
            command.connection.state = ConnectionState.OPEN
        return events.OpenConnectionCompleted(command, self.dial)

    def client_sends(self, *pieces: bytes) -> bytes:
        """All that the client was told so far, after it has sent these."""
        self.happen(*(events.DataReceived(self.context.client, piece) for piece in pieces))
        return self.to_client

    def provider_sends(self, *pieces: bytes) -> bytes:
        """All that the client was told so far, after the newest provider connection brought these."""
        self.happen(*(events.DataReceived(self.dials[-1], piece) for piece in pieces))
        return self.to_client

    def provider_closes(self) -> bytes:
        """All that the client was told so far, after the newest provider connection has ended."""
        self.dials[-1].state = ConnectionState.CAN_WRITE
        self.happen(events.ConnectionClosed(self.dials[-1]))
        return self.to_client

    @property
    def to_client(self) -> bytes:
        """All that the client was told so far."""
        return self.sent.get(self.context.client, b"")

    @property
    def to_provider(self) -> bytes:
        """All that the newest provider connection was told."""
        return self.sent.get(self.dials[-1], b"") if self.dials else b""
