"""All requests of one client connection: a provider that could not be reached once is tried again at the next one."""

from __future__ import annotations

from mitmproxy.connection import ConnectionState, Server
from mitmproxy.proxy import events, layer
from mitmproxy.proxy.layers.http import GetHttpConnection, HttpLayer


class GatewayHttp(HttpLayer):
    """mitmproxy's layer, which forgets an upstream connection when that is over.

    The stock one keeps them all. A dial that failed is then the answer to every later request of this client without
    another try, and a client that stays for days gathers every connection it ever had.
    """

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.ConnectionEvent) and self._is_forgotten(event):
            return
        yield from super()._handle_event(event)

    def _is_forgotten(self, event: events.ConnectionEvent) -> bool:
        return isinstance(event.connection, Server) and event.connection not in self.connections

    def get_connection(self, event: GetHttpConnection, *, reuse: bool = True) -> layer.CommandGenerator[None]:
        for connection in [c for c in self.connections if self._is_over(c)]:
            del self.connections[connection]
        yield from super().get_connection(event, reuse=reuse)

    def _is_over(self, connection: object) -> bool:
        return (
            isinstance(connection, Server)
            and connection.state is ConnectionState.CLOSED
            and connection not in self.waiting_for_establishment
        )
