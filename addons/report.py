"""What happened: metrics, one access line, and the headers that tell client and operator which request it was."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence

from mitmproxy import http
from mitmproxy.connection import Client

from addons.exchange import Exchange, Exchanges
from addons.stage import fail
from llmauth.context import Authenticated, Credentialed, Routed
from llmauth.errors import GatewayError, UpstreamUnreachable
from llmauth.gateway import Gateway
from llmauth.http import Door, Headers
from llmauth.telemetry.metrics import Observation

access = logging.getLogger("llmauth.access")

# A short answer is cheaper in one write than in three; a longer one, and every event stream, passes as it comes.
_BUFFERED_UP_TO = 16 * 1024
_STREAMS = (b"text/event-stream", b"application/vnd.amazon.eventstream")
_FINAL = range(200, 600)
_HOP_BY_HOP = frozenset({b"keep-alive", b"proxy-connection", b"proxy-authenticate"})
_NONE = (b"",)


class Report:
    """The last to see an answer. It tells; nothing is decided here, but for an answer that is none."""

    name = "report"

    def __init__(self, gateway: Gateway, exchanges: Exchanges) -> None:
        self.gateway = gateway
        self.exchanges = exchanges

    def client_connected(self, client: Client) -> None:
        self.gateway.metrics.client_connected()

    def client_disconnected(self, client: Client) -> None:
        self.gateway.metrics.client_disconnected()

    def server_ready(self, flow: http.HTTPFlow) -> None:
        exchange = self.exchanges.of(flow)
        if exchange is not None:
            exchange.sent_at = time.monotonic()

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        exchange = self.exchanges.of(flow)
        if exchange is None or flow.response is None:
            return
        exchange.first_byte_at = time.monotonic()
        response = flow.response
        index = Headers(response.headers.fields).index()
        if exchange.error is None and exchange.sent_at is not None:
            if response.status_code in _FINAL:
                response.stream = _streams(index)
                if not index.keys().isdisjoint(_HOP_BY_HOP):
                    response.headers.fields = tuple(
                        f for f in response.headers.fields if f[0].lower() not in _HOP_BY_HOP
                    )
            else:
                fail(flow, exchange, UpstreamUnreachable("The provider's answer has no valid status."))
                return
        if b"x-request-id" not in index:
            response.headers.fields += ((b"X-Request-Id", exchange.context.request_id.encode()),)
        if self.exchanges.draining:
            response.headers["Connection"] = "close"

    def response(self, flow: http.HTTPFlow) -> None:
        self._close(flow)

    def error(self, flow: http.HTTPFlow) -> None:
        self._close(flow)

    def http_connected(self, flow: http.HTTPFlow) -> None:
        self.exchanges.end(flow)

    def http_connect_error(self, flow: http.HTTPFlow) -> None:
        self._close(flow)

    def _close(self, flow: http.HTTPFlow) -> None:
        self.exchanges.end(flow)
        exchange = self.exchanges.of(flow)
        if exchange is None or exchange.reported:
            return
        exchange.reported = True
        # A killed flow has no status that anybody saw; 499 is what others call a client that left.
        status = flow.response.status_code if flow.response is not None else 499
        finished = time.monotonic()
        self.gateway.metrics.observe(_observation(flow, exchange, status, finished))
        if access.isEnabledFor(logging.INFO):
            access.handle(_record(_line(flow, exchange, status, finished)))


def _record(facts: dict[str, object]) -> logging.LogRecord:
    """What `access.info` would make, without looking for the caller's line, which is always the same."""
    record = logging.LogRecord(access.name, logging.INFO, "", 0, "request", None, None)
    record.facts = facts
    return record


def _streams(index: Mapping[bytes, Sequence[bytes]]) -> bool:
    (length, *_), (kind, *_) = index.get(b"content-length", _NONE), index.get(b"content-type", _NONE)
    return kind.startswith(_STREAMS) or not (length.isdigit() and int(length) <= _BUFFERED_UP_TO)


def _observation(flow: http.HTTPFlow, exchange: Exchange, status: int, finished: float) -> Observation:
    context = exchange.context
    target = context.target if isinstance(context, Routed) else None
    return Observation(
        instance=target.instance if target else "",
        provider=target.provider if target else "",
        region=(target.region or "") if target else "",
        mode="transparent" if target else "",
        protocol="native" if target else "",
        model=(target.model or "") if target else "",
        method=exchange.request.method,
        status=status,
        seconds=finished - context.started,
        first_byte=(exchange.first_byte_at - context.started) if exchange.first_byte_at else None,
        overhead=(exchange.sent_at - context.started) if exchange.sent_at else None,
        error=exchange.error.code if exchange.error else None,
        aborted=flow.error is not None and exchange.first_byte_at is not None,
    )


def _line(flow: http.HTTPFlow, exchange: Exchange, status: int, finished: float) -> dict[str, object]:
    context = exchange.context
    line: dict[str, object] = {
        "request_id": context.request_id,
        "door": exchange.door.value,
        "method": exchange.request.method,
        "status": status,
        "ms": round((finished - context.started) * 1000, 1),
        "stage": type(context).__name__,
        "source": exchange.request.source,
    }
    if exchange.door is Door.CONNECT:
        line["target"] = str(exchange.request.tunnel)
    if isinstance(context, Authenticated):
        line["user"], line["key_id"] = context.identity.user, context.identity.key_id
    if isinstance(context, Routed):
        line["instance"], line["provider"] = context.target.instance, context.target.provider
    if isinstance(context, Credentialed):
        line["strategy"] = context.strategy
    if exchange.sent_at is not None:
        line["overhead_ms"] = round((exchange.sent_at - context.started) * 1000, 2)
    if exchange.first_byte_at is not None:
        line["first_byte_ms"] = round((exchange.first_byte_at - context.started) * 1000, 1)
    if exchange.error is not None:
        line.update(_refusal(exchange.error))
    elif flow.error is not None:
        line["cut"] = True
    own = flow.response.headers.get("x-request-id") if flow.response is not None else None
    if own is not None and own != context.request_id:
        line["provider_request_id"] = own
    return line


def _refusal(error: GatewayError) -> dict[str, object]:
    return {"code": error.code, "fault": error.fault, "detail": error.detail or error.message}
