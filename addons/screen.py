"""Refuses what no honest client sends, before anything else is asked of it."""

from __future__ import annotations

from mitmproxy import http

from addons.exchange import Exchange, Exchanges
from addons.stage import stage
from addons.wire.stream import BODY_LIMIT
from llmauth.context import RequestContext
from llmauth.errors import BodyTooLarge, InternalError
from llmauth.screening import screen


class Screen:
    """Ties CONNECT, SNI, Host and target to each other, and keeps odd framing and methods out."""

    name = "screen"

    def __init__(self, exchanges: Exchanges) -> None:
        self.exchanges = exchanges

    @stage(RequestContext)
    def http_connect(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        screen(exchange.request, sni=None)

    @stage(RequestContext)
    def requestheaders(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        if flow.client_conn.error:
            raise InternalError("This connection was given up.", close=True)
        screen(exchange.request, sni=flow.client_conn.sni)
        length = exchange.request.headers.get("content-length")
        if length is not None and int(length) > BODY_LIMIT:
            limit = BODY_LIMIT // (1024 * 1024)
            raise BodyTooLarge(f"The request body is over the limit of {limit} MiB.", close=True)
