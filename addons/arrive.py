"""The first addon that a flow meets: it gets an id, and the exchange that all others add to."""

from __future__ import annotations

import re

from mitmproxy import http

from addons import convert
from addons.exchange import Exchange, Exchanges, arrival
from addons.known import line_of
from addons.stage import fail
from addons.wire.heads import MalformedRequest
from addons.wire.stream import ORIGIN_FORM
from llmauth.addresses import HostPort, normalise_host
from llmauth.errors import BadRequest, Draining
from llmauth.gateway import Gateway
from llmauth.http import Door
from llmauth.storage.key_text import PREFIX

# What a client calls its request is logged and sent on; a key put there by mistake must not be.
_PLAIN_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_RETRY_WHILE_DRAINING = 1


class Arrive:
    """Opens the exchange of every flow, CONNECT and inner request alike."""

    name = "arrive"

    def __init__(self, gateway: Gateway, exchanges: Exchanges) -> None:
        self.gateway = gateway
        self.exchanges = exchanges

    def http_connect(self, flow: http.HTTPFlow) -> None:
        """A CONNECT: its target is normalised here, once, and compared as it is from here on."""
        try:
            tunnel = HostPort(normalise_host(flow.request.host), flow.request.port)
        except ValueError:
            exchange = self._begin(flow, Door.CONNECT, None)
            fail(flow, exchange, BadRequest("The CONNECT target is not a host name and port.", close=True))
            return
        self._begin(flow, Door.CONNECT, tunnel)

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """A request; the door is told by its connection, never by its headers."""
        if flow.error is not None:
            return
        peer = self.exchanges.peer(flow.client_conn)
        door = Door.GATEWAY if peer.gateway else Door.TUNNEL if peer.tunnel is not None else Door.ABSOLUTE
        line = line_of(flow, peer.gateway, peer.tunnel)
        exchange = self._begin(flow, door, peer.tunnel)
        exchange.line = line
        if isinstance(flow.request, MalformedRequest):
            fail(flow, exchange, BadRequest(flow.request.fault))
        if flow.request.data.host == ORIGIN_FORM:
            hint = "Open a new connection for gateway paths."
            fail(
                flow,
                exchange,
                BadRequest("A proxy connection takes CONNECT and absolute form only.", hint=hint, close=True),
            )

        elif door is Door.GATEWAY and self._is_for_a_proxy(flow):
            hint = "Open a new connection for requests that are to go through this proxy."
            fail(flow, exchange, BadRequest("This connection carries gateway paths.", hint=hint, close=True))

    def _is_for_a_proxy(self, flow: http.HTTPFlow) -> bool:
        """Whether the request line names a host that is none of our own names: "To allow for transition to the
        absolute-form for all requests in some future version of HTTP, a server MUST accept the absolute-form in
        requests" (RFC 9112, 3.2.2), of its own.
        """
        authority = flow.request.data.authority
        return bool(authority) and not self.gateway.plan.is_gateway_host(flow.request.data.host)

    def _begin(self, flow: http.HTTPFlow, door: Door, tunnel: HostPort | None) -> Exchange:
        peer, plan = self.exchanges.peer(flow.client_conn), self.gateway.plan
        peer.follow(plan)
        request = convert.to_request(flow, door, tunnel, peer.certificate)
        named = request.headers.index().get(b"x-request-id")
        wanted = named[0].decode("ascii", "replace") if named is not None else None
        context = arrival(wanted if wanted and _PLAIN_ID.fullmatch(wanted) and PREFIX not in wanted else None)
        exchange = self.exchanges.begin(flow, Exchange(context, request, door, plan))
        if self.exchanges.draining and request.url.path not in ("/health", "/ready"):
            fail(
                flow,
                exchange,
                Draining("This gateway is shutting down.", retry_after=_RETRY_WHILE_DRAINING, close=True),
            )
        return exchange
