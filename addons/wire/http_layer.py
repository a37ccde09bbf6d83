"""All requests of one client connection: what it waits for, and dials that failed once and are tried again."""

from __future__ import annotations

from typing import Any

from mitmproxy.connection import Connection, ConnectionState, Server
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers.http import GetHttpConnection, GetHttpConnectionCompleted, HttpLayer, HttpStream

from addons.exchange import Awaited, exchange_of, peer_of
from addons.wire.http1 import BoundedClient, BoundedServer
from addons.wire.http2 import BoundedHttp2
from addons.wire.signals import Overdue
from llmauth.gateway.plan import Way


class GatewayHttp(HttpLayer):
    """mitmproxy's layer, which forgets an upstream connection when that is over.

    The stock one keeps them all. A dial that failed is then the answer to every later request of this client without
    another try, and a client that stays for days gathers every connection it ever had.
    """

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._taken: dict[Connection, HttpStream] = {}  # which stream an upstream connection was last given to
        self._ways: dict[Connection, Way] = {}  # how an upstream connection was dialled

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.ConnectionEvent) and self._is_forgotten(event):
            return
        if isinstance(event, Overdue):
            yield from self._lead(event)
            return
        if isinstance(event, events.Start):
            peer_of(self.context.client).http = self
        yield from super()._handle_event(event)

    def awaited(self) -> tuple[Awaited, int]:
        """What this client is waited for; a tunnel counts as one connection more, with a first request of its own."""
        reader = self.connections.get(self.context.client)
        depth = sum(isinstance(below, HttpLayer) for below in self.context.layers)
        if isinstance(reader, BoundedHttp2):
            if not reader.asked:
                return Awaited.FIRST_HEAD, depth
            busy = any(not _is_stopped(stream) for stream in self.streams.values())
            return (Awaited.ANSWER if busy else Awaited.IDLE), reader.asked
        if not isinstance(reader, BoundedServer):
            return Awaited.ANSWER, 0
        if reader.passes_through:
            stream = self.streams.get(reader.stream_id)
            read = stream is not None and isinstance(stream.child_layer, layer.NextLayer)
            return (Awaited.FIRST_HEAD, depth + 1) if read else (Awaited.PIPE, 0)
        what = reader.awaited()
        return what, depth if what is Awaited.FIRST_HEAD else reader.stream_id

    def _lead(self, event: Overdue) -> layer.CommandGenerator[None]:
        """Through a tunnel, to the stream of the flow, or to who reads the heads."""
        reader = self.connections[self.context.client]
        for stream in self.streams.values():
            if stream.child_layer is not None or (event.flow is not None and stream.flow is event.flow):
                yield from self.event_to_child(stream, event)
                return
        if isinstance(reader, BoundedServer | BoundedHttp2):
            yield from self.event_to_child(reader, event)
        elif event.flow is None:
            yield commands.CloseConnection(self.context.client)

    def _is_forgotten(self, event: events.ConnectionEvent) -> bool:
        return isinstance(event.connection, Server) and event.connection not in self.connections

    def get_connection(self, event: GetHttpConnection, *, reuse: bool = True) -> layer.CommandGenerator[None]:
        for connection in [c for c in self.connections if self._is_over(c)]:
            self._forget(connection)
        stream = self.command_sources.get(event)
        reuse = (yield from self._go(stream)) and reuse
        if isinstance(self.connections.get(self.context.client), BoundedHttp2):
            suitable = (c for c in self.connections if event.connection_spec_matches(c))
            idle = next((c for c in suitable if self._is_idle(c, stream)), None)
            if idle is not None and isinstance(stream, HttpStream):
                self._taken[idle] = stream
                del self.command_sources[event]
                yield from self.event_to_child(stream, GetHttpConnectionCompleted(event, (idle, None)))
                return
            # The stock layer lets requests wait for one dial and fail with it; here each has its own.
            reuse = False
        yield from super().get_connection(event, reuse=reuse)
        for connection, waiting in self.waiting_for_establishment.items():
            if event in waiting and isinstance(stream, HttpStream) and isinstance(connection, Server):
                self._taken[connection] = stream
                stream.flow.server_conn = connection  # so that a dial is known by its flow, and given up with it
                way = peer_of(self.context.client).way
                if way is not None:
                    self._ways[connection] = way

    def _go(self, stream: object) -> layer.CommandGenerator[bool]:
        """The request of this stream goes out as it was configured at its arrival, and connections that were dialled in
        another way are not for it. Whether all that are left may be."""
        exchange = exchange_of(stream.flow) if isinstance(stream, HttpStream) else None
        if exchange is None:
            return True
        way = peer_of(self.context.client).way = exchange.plan.way
        former = [connection for connection, dialled in self._ways.items() if dialled is not way]
        for connection in [one for one in former if one in self.connections and self._is_idle(one, stream)]:
            self._forget(connection)
            yield commands.CloseConnection(connection)
        return all(dialled is way for dialled in self._ways.values())

    def _forget(self, connection: Connection) -> None:
        self.connections.pop(connection, None)
        self._taken.pop(connection, None)
        self._ways.pop(connection, None)

    def _is_idle(self, connection: Connection, asking: object) -> bool:
        """Whether an open connection carries no request: the last answer ended as it should, and nothing came after.

        One that was given to whoever asks is his still: a request that is sent once more goes where it went before.
        """
        taken = self._taken.get(connection)
        if taken is not None and taken is not asking and self.streams.get(taken.stream_id) is taken and taken.flow.live:
            return False
        bottom = self.connections[connection].context.layers[-1]
        return (
            connection.connected
            and connection not in self.waiting_for_establishment
            and isinstance(bottom, BoundedClient)
            and bottom.is_idle
        )

    def make_stream(self, stream_id: int) -> layer.CommandGenerator[None]:
        # Streams that were stopped are not dropped by the stock layer, and a connection of HTTP/2 has many.
        for stopped in [s for s in self.streams.values() if _is_stopped(s)]:
            del self.streams[stopped.stream_id]
        yield from super().make_stream(stream_id)

    def _is_over(self, connection: object) -> bool:
        return (
            isinstance(connection, Server)
            and connection.state is ConnectionState.CLOSED
            and connection not in self.waiting_for_establishment
        )


def _is_stopped(stream: HttpStream) -> bool:
    flow = getattr(stream, "flow", None)  # none before its head is in
    return flow is not None and not flow.live and stream.client_state == stream.state_errored
