"""A WebSocket after its handshake: bytes passed on as they come, none kept, and a word of ours between two frames."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from mitmproxy import flow as flows
from mitmproxy import http
from mitmproxy.connection import Connection
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context

from llmauth.websocket.frames import Code, Edges, close, ping

# How long a frame that is under way may take to end before the socket is cut in its middle.
REST_OF_FRAME = 0.3
# How long a client that was told goodbye may take to answer. Closing at once could reset the connection under the word.
FAREWELL = 0.5
# After that nothing is waited for: a client that does not read at all would keep its connection.
UNREAD = 0.6

_ATTRIBUTE = "llmauth_traffic"


@dataclass
class SocketClosedHook(commands.StartHook):
    """A WebSocket is over; its flow has an error where it was cut, and none where somebody said goodbye."""

    name = "socket_closed"
    flow: http.HTTPFlow


class BothWays(commands.Command):
    """From here on, who reads a connection of this client waits for the writers on the other side alone."""

    blocking = False


class Hasten(commands.Command):
    """Whoever of this client's peers has not read what was written to it by then is not waited for."""

    blocking = False

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class End:
    """An order: say goodbye to both sides, then close."""

    code: Code
    reason: str


@dataclass(frozen=True, slots=True)
class Ping:
    """An order: see whether a side still lives."""

    client: bool


@dataclass(frozen=True, slots=True)
class Cut:
    """An order: close both sides without a word; one of them has left already."""


Order = End | Ping | Cut


@dataclass
class SocketOrder(events.MessageInjected[Order]):
    """An order from outside; the layers below lead it to the socket of its flow."""


@dataclass(slots=True)
class Traffic:
    """What a socket carried: bytes from the client and to it; when each side was last heard, and last asked whether
    it lives (monotonic seconds); and whether its end was ordered."""

    received: int = 0
    sent: int = 0
    client_heard: float = field(default_factory=time.monotonic)
    server_heard: float = field(default_factory=time.monotonic)
    client_asked: float = 0.0
    server_asked: float = 0.0
    ended: bool = False


def let_in(flow: http.HTTPFlow) -> None:
    """Let this flow, whose answer is a good 101, become a WebSocket: from here on somebody watches it."""
    flow.__dict__[_ATTRIBUTE] = Traffic()


def traffic_of(flow: http.HTTPFlow) -> Traffic | None:
    """The traffic of a flow that was let in, `None` for every other."""
    found: Traffic | None = flow.__dict__.get(_ATTRIBUTE)
    return found


class Relay(layer.Layer):
    """Stands in the place of mitmproxy's WebsocketLayer, which unpacks every message and keeps it.

    Nothing is read but the heads of frames, for where they end: what is compressed or masked stays so.
    """

    def __init__(self, context: Context, flow: http.HTTPFlow) -> None:
        super().__init__(context)
        self.flow = flow
        self._traffic: Traffic = flow.__dict__[_ATTRIBUTE]
        self._to_client, self._to_server = Edges(), Edges()
        self._ending: End | None = None
        self._parted = False
        self._over = False
        # The last that was asked for: one that was to wait for the rest of a frame must not cut the farewell short.
        self._alarm: commands.RequestWakeup | None = None

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.Start):
            yield BothWays()
        elif self._over:
            return
        elif isinstance(event, events.DataReceived):
            yield from self._received(event.connection, event.data)
        elif isinstance(event, events.ConnectionClosed):
            yield from self._gone(event.connection)
        elif isinstance(event, SocketOrder):
            yield from self._obey(event.message)
        elif isinstance(event, events.Wakeup) and event.command is self._alarm:
            yield from self._close()

    def _received(self, source: Connection, data: bytes) -> layer.CommandGenerator[None]:
        traffic = self._traffic
        if source == self.context.client:
            traffic.client_heard = time.monotonic()
            self._to_server.follow(data)
            if self._ending is None:
                traffic.received += len(data)
                yield commands.SendData(self.context.server, data)
            elif self._parted and self._to_server.closed:
                yield from self._close()
        elif self._ending is None:
            traffic.server_heard = time.monotonic()
            self._to_client.follow(data)
            traffic.sent += len(data)
            yield commands.SendData(self.context.client, data)
        elif not self._parted:
            yield from self._finish_frame(data)

    def _finish_frame(self, data: bytes) -> layer.CommandGenerator[None]:
        """The socket ends in the middle of a frame to the client: pass the rest of that and nothing beyond."""
        taken = self._to_client.follow(data, to_edge=True)
        self._traffic.sent += taken
        yield commands.SendData(self.context.client, data[:taken])
        if self._to_client.at_edge:
            yield from self._part()

    def _obey(self, order: Order) -> layer.CommandGenerator[None]:
        if isinstance(order, Ping):
            yield from self._ping(client=order.client)
        elif isinstance(order, Cut):
            yield Hasten(0.0)
            yield from self._close()
        elif self._ending is None:
            self._ending = order
            if self._to_client.at_edge:
                yield from self._part()
            else:
                yield self._wake_in(REST_OF_FRAME)

    def _ping(self, *, client: bool) -> layer.CommandGenerator[None]:
        edges, now = (self._to_client if client else self._to_server), time.monotonic()
        if client:
            self._traffic.client_asked = now
        else:
            self._traffic.server_asked = now
        if self._ending is None and edges.at_edge and not edges.closed:
            side = self.context.client if client else self.context.server
            yield commands.SendData(side, ping(masked=not client))

    def _part(self) -> layer.CommandGenerator[None]:
        """Say goodbye to both sides, once each, and wait for the client's answer alone."""
        assert self._ending is not None
        self._parted = True
        if self._to_server.at_edge and not self._to_server.closed:
            yield commands.SendData(self.context.server, close(Code.GOING_AWAY, "", masked=True))
        yield commands.CloseConnection(self.context.server)
        if not self._to_client.closed:
            yield commands.SendData(self.context.client, close(self._ending.code, self._ending.reason, masked=False))
        yield self._wake_in(FAREWELL)
        yield Hasten(UNREAD)

    def _wake_in(self, seconds: float) -> commands.RequestWakeup:
        self._alarm = commands.RequestWakeup(seconds)
        return self._alarm

    def _gone(self, side: Connection) -> layer.CommandGenerator[None]:
        if side == self.context.client or not self._parted:
            yield from self._close()

    def _close(self) -> layer.CommandGenerator[None]:
        """Nobody who was not told goodbye is told it now: an end without a Close frame is how a cut looks."""
        self._over = True
        if not (self._parted or self._to_client.closed or self._to_server.closed):
            self.flow.error = flows.Error("the socket was cut")
        if self._ending is not None and not self._parted:
            yield Hasten(0.0)  # it could not even be told
        yield commands.CloseConnection(self.context.server)
        yield commands.CloseConnection(self.context.client)
        yield SocketClosedHook(self.flow)
        self.flow.live = False
