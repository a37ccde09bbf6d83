"""A tunnel whose bytes nobody reads: opened before its CONNECT is answered, and relayed both ways at their own pace."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from mitmproxy import http
from mitmproxy.connection import Connection, ConnectionState
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context

from llmauth.addresses import HostPort
from llmauth.context import Identity

_ATTRIBUTE = "llmauth_tunnel"


@dataclass(slots=True, kw_only=True, eq=False)
class Tunnel:
    """A tunnel that was let in: for whom, where to, and what has passed. Times are monotonic seconds, sizes bytes."""

    target: HostPort
    identity: Identity
    request_id: str
    flow: http.HTTPFlow
    opened: float | None = None
    moved: float = field(default_factory=time.monotonic)
    sent: int = 0
    received: int = 0
    judged_by: object = None  # the configuration by which it was let in, or was judged last
    ended_by: str = ""


def dig(tunnel: Tunnel) -> None:
    """Let the CONNECT of this flow lead to a tunnel, unless it is refused before it is answered."""
    tunnel.flow.__dict__[_ATTRIBUTE] = tunnel


def tunnel_of(flow: http.HTTPFlow) -> Tunnel | None:
    """The tunnel of a CONNECT, `None` for one whose TLS we end."""
    found: Tunnel | None = flow.__dict__.get(_ATTRIBUTE)
    return found


class Splice(commands.Command):
    """From here on each direction of this client connection waits for its own reader alone."""

    blocking = False


class TunnelRelay(layer.Layer):
    """Hands bytes from one side to the other as they come; the end of one side's is told to the other as such.

    A slow reader stops the other side from being read: the connection's handler waits for its buffer, so that no more
    than a few hundred kilobytes of a tunnel are ever held.
    """

    def __init__(self, context: Context, tunnel: Tunnel) -> None:
        super().__init__(context)
        self._tunnel = tunnel

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.Start):
            if self._tunnel.opened is None or self.context.client.error:
                # Whoever watches tunnels does not know of this one, and nobody would ever end it.
                yield from self._close()
            else:
                yield Splice()
        elif isinstance(event, events.DataReceived):
            yield from self._pass_on(event)
        elif isinstance(event, events.ConnectionClosed):
            yield from self._end(event.connection)

    def _other(self, connection: Connection) -> Connection:
        client, server = self.context.client, self.context.server
        return server if connection is client else client

    def _pass_on(self, event: events.DataReceived) -> layer.CommandGenerator[None]:
        self._tunnel.moved = time.monotonic()
        if event.connection is self.context.client:
            self._tunnel.sent += len(event.data)
        else:
            self._tunnel.received += len(event.data)
        yield commands.SendData(self._other(event.connection), event.data)

    def _end(self, connection: Connection) -> layer.CommandGenerator[None]:
        other = self._other(connection)
        self._tunnel.ended_by = self._tunnel.ended_by or ("client" if connection is self.context.client else "host")
        if connection.state is not ConnectionState.CLOSED and other.state & ConnectionState.CAN_READ:
            yield commands.CloseTcpConnection(other, half_close=True)
            return
        yield from self._close()

    def _close(self) -> layer.CommandGenerator[None]:
        for each in (self.context.server, self.context.client):
            if each.state is not ConnectionState.CLOSED:
                yield commands.CloseConnection(each)
