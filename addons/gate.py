"""The last word: nothing leaves, and nothing is dialled, that was not approved stage by stage."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from mitmproxy import flow as flows
from mitmproxy import http
from mitmproxy.connection import Server
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from addons.exchange import Exchange, Exchanges, peer_of
from addons.last_resort import last_resort
from addons.stage import fail
from addons.wire.tunnel import Tunnel, tunnel_of
from llmauth.addresses import HostPort
from llmauth.context import Authenticated, Carried, Credentialed, RequestContext
from llmauth.errors import InternalError

logger = logging.getLogger(__name__)

# What may leave, and how: nothing that only came further, or less far, than one of these.
_SCHEMES: Mapping[type[RequestContext], bytes] = {Credentialed: b"https", Carried: b"http"}


class Gate:
    """Stands after every other addon, and asks only for the mark that the whole chain leaves."""

    name = "gate"

    def __init__(self, exchanges: Exchanges) -> None:
        self.exchanges = exchanges

    def http_connect(self, flow: http.HTTPFlow) -> None:
        """A tunnel opens only where the route was let in for this very connection."""
        if flow.response is not None or flow.error is not None:
            return
        exchange = self.exchanges.of(flow)
        raw = tunnel_of(flow)
        if raw is not None:
            self._approve_tunnel(flow, exchange, raw)
            return
        tunnel = self.exchanges.peer(flow.client_conn).tunnel
        if exchange is None or tunnel is None or tunnel != exchange.request.tunnel:
            self._refuse(flow, "a CONNECT was not approved")

    def _approve_tunnel(self, flow: http.HTTPFlow, exchange: Exchange | None, raw: Tunnel) -> None:
        """One that nobody will read: for a caller that is known, to the place that was judged."""
        named = HostPort(flow.request.data.host, flow.request.data.port)
        known = exchange is not None and isinstance(exchange.context, Authenticated)
        if not known or exchange is None or not raw.target == named == exchange.request.tunnel == exchange.approved:
            self._refuse(flow, "a tunnel was not approved")
            return
        self.exchanges.peer(flow.client_conn).approved.add(raw.target)

    def request(self, flow: http.HTTPFlow) -> None:
        """A request leaves only signed, and only for where its credential is bound to."""
        if flow.response is not None or flow.error is not None:
            return
        exchange = self.exchanges.of(flow)
        scheme = _SCHEMES.get(type(exchange.context)) if exchange is not None else None
        if exchange is None or scheme is None:
            self._refuse(flow, "a request was not approved")
            return
        approved, data = exchange.approved, flow.request.data
        if approved is None or (data.host, data.port) != approved or data.scheme != scheme:
            self._refuse(flow, "a request leads elsewhere than approved")
            return
        peer_of(flow.client_conn).approved.add(approved)

    def server_connect(self, data: ServerConnectionHookData) -> None:
        """The second barrier: whatever the flow hooks did, this client connection may dial approved targets alone."""
        address = data.server.address
        if address is None or HostPort(address[0], address[1]) not in self.exchanges.peer(data.client).approved:
            data.server.error = "not approved"
            logger.error("A dial was not approved; it was refused")
            return
        # TLS is verified for the host that the credential belongs to, whatever name the client's hello carried.
        data.server.sni = address[0]
        data.server.alpn_offers = (b"http/1.1",)

    def server_ready(self, flow: http.HTTPFlow) -> None:
        """The binding, checked on the connection that is really open: name, port, and a verified certificate."""
        exchange = self.exchanges.of(flow)
        if exchange is None or exchange.approved is None or not _right(flow, exchange, exchange.approved):
            logger.error("A connection is not the approved one; the request was stopped", extra=_whose(exchange))
            flow.error = flows.Error(flows.Error.KILLED_MESSAGE)

    def _refuse(self, flow: http.HTTPFlow, what: str) -> None:
        exchange = self.exchanges.of(flow)
        logger.error("The gate refused a flow", extra={"what": what, **_whose(exchange)})
        if exchange is not None:
            fail(flow, exchange, InternalError("The gateway could not approve this request.", detail=what))
        else:
            flow.response = last_resort(500)


def _whose(exchange: Exchange | None) -> dict[str, str]:
    """The request that a line of the log is about."""
    return {} if exchange is None else {"request_id": exchange.context.request_id}


def _right(flow: http.HTTPFlow, exchange: Exchange, approved: HostPort) -> bool:
    """Whether the connection is the one that this flow was let through for."""
    server = flow.server_conn
    if isinstance(exchange.context, Credentialed):
        return _bound(server, approved)
    passes = tunnel_of(flow) is not None or isinstance(exchange.context, Carried)
    return passes and not server.tls and server.error is None and server.address == tuple(approved)


def _bound(server: Server, approved: HostPort) -> bool:
    return (
        server.address is not None
        and HostPort(server.address[0], server.address[1]) == approved
        and server.tls_established
        and server.sni == approved.host
        and bool(server.certificate_list)
        and server.error is None
    )
