"""Has a meter see every answer of a model that passes as its provider wrote it; translations count for themselves."""

from __future__ import annotations

from mitmproxy import http

from addons.exchange import Exchanges
from llmauth.http import Headers
from llmauth.usage.metering import meter_for


class Meters:
    """Stands before whoever changes an answer. What passes piece by piece is fed by the layer that passes it on."""

    name = "meters"

    def __init__(self, exchanges: Exchanges) -> None:
        self.exchanges = exchanges

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        exchange, response = self.exchanges.of(flow), flow.response
        if exchange is None or exchange.error is not None or exchange.sent_at is None or exchange.handler is None:
            return
        if exchange.prepared is not None and exchange.prepared.native is None:
            return
        assert response
        exchange.meter = meter_for(
            exchange.handler.provider,
            method=flow.request.method,
            path=flow.request.path,
            status=response.status_code,
            headers=Headers(response.headers.fields),
        )

    def response(self, flow: http.HTTPFlow) -> None:
        """An answer that was kept until it was whole."""
        exchange, response = self.exchanges.of(flow), flow.response
        if exchange is None or exchange.sent_at is None or exchange.error is not None or response is None:
            return
        if not response.stream:
            body = response.raw_content or b""
            exchange.passed += len(body)
            if exchange.meter is not None:
                exchange.meter.feed(body)
