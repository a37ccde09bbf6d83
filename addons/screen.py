"""Refuses what no honest client sends, before anything else is asked of it."""

from __future__ import annotations

from mitmproxy import http
from mitmproxy.tls import ClientHelloData

from addons.exchange import Exchange, Exchanges
from addons.stage import stage
from llmauth.context import RequestContext
from llmauth.errors import BadRequest, InternalError
from llmauth.screening import screen

_SERVER_NAME = 0  # RFC 6066, 3: the number of the extension


class Screen:
    """Ties CONNECT, SNI, Host and target to each other, and keeps odd framing and methods out."""

    name = "screen"

    def __init__(self, exchanges: Exchanges) -> None:
        self.exchanges = exchanges

    @stage(RequestContext)
    def http_connect(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        # Python's http.client before 3.12 opens its tunnels in HTTP/1.0.
        _check_version(flow, b"HTTP/1.0", b"HTTP/1.1")
        screen(exchange.request, sni=None, limits=exchange.plan.head_limits)

    @stage(RequestContext)
    def requestheaders(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        if flow.client_conn.error:
            raise InternalError("This connection was given up.", close=True)
        _check_version(flow, b"HTTP/1.1")
        screen(exchange.request, sni=flow.client_conn.sni, limits=exchange.plan.head_limits)

    def tls_clienthello(self, data: ClientHelloData) -> None:
        """mitmproxy takes a server name that is no valid name, or several, for none; and none is allowed."""
        hello = data.client_hello
        if hello.sni is None and any(kind == _SERVER_NAME for kind, _ in hello.extensions):
            data.context.client.sni = ""


def _check_version(flow: http.HTTPFlow, *served: bytes) -> None:
    """mitmproxy would send any version on as it came, and takes a first line that says HTTP/2.0 for HTTP/2.

    Requests that came in HTTP/2 are made HTTP/1.1 before they get here.
    """
    if flow.request.data.http_version not in served:
        hint = "HTTP/2 is served where TLS is, to clients that choose it there. nginx: set proxy_http_version 1.1."
        raise BadRequest("Over this connection, only HTTP/1.1 is served.", hint=hint, close=True)
