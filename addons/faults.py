"""What went wrong on the provider's side, answered in the shape the client knows and blamed on whom it belongs to."""

from __future__ import annotations

import logging

from mitmproxy import http
from mitmproxy.proxy.layers.http._events import ErrorCode

from addons.exchange import Exchange, Exchanges
from addons.stage import fail
from addons.wire.stream import BODY_LIMIT, UpstreamFault
from llmauth.errors import BodyTooLarge, GatewayError, UpstreamTimeout, UpstreamUnreachable

logger = logging.getLogger(__name__)

# OpenSSL's own words, as mitmproxy hands them on.
_BAD_CERTIFICATE = "certificate verify failed"
_REFUSED_ADDRESS = "resolves to a private or reserved address"


class Faults:
    """Turns a failed dial, a broken answer or a missed deadline into a designed refusal, while nothing was sent yet."""

    name = "faults"

    def __init__(self, exchanges: Exchanges) -> None:
        self.exchanges = exchanges

    def error(self, flow: http.HTTPFlow) -> None:
        fault = flow.error
        exchange = self.exchanges.of(flow)
        if exchange is None or flow.response is not None or not isinstance(fault, UpstreamFault):
            return
        fail(flow, exchange, _judge(exchange, fault))


def _judge(exchange: Exchange, fault: UpstreamFault) -> GatewayError:
    instance = exchange.handler.name if exchange.handler is not None else "?"
    if fault.code is ErrorCode.REQUEST_TOO_LARGE:
        return BodyTooLarge(f"The request body is over the limit of {BODY_LIMIT // (1024 * 1024)} MiB.", close=True)
    if exchange.timed_out and exchange.sent_at is None:
        return UpstreamTimeout(f"The provider of instance '{instance}' could not be connected to in time.")
    if exchange.timed_out:
        return UpstreamTimeout(f"The provider of instance '{instance}' did not begin to answer in time.")
    if _BAD_CERTIFICATE in fault.msg.lower():
        message = f"The certificate of the provider of instance '{instance}' could not be verified."
        hint = "Nothing was sent. A private CA is added with upstream.ca_file."
        return UpstreamUnreachable(message, hint=hint, detail="certificate")
    if _REFUSED_ADDRESS in fault.msg:
        message = f"The name of the provider of instance '{instance}' leads to a private address."
        return UpstreamUnreachable(
            message, hint="Name it in upstream.allow_private if that is meant.", detail="address"
        )
    if fault.code is ErrorCode.CONNECT_FAILED:
        # The text comes from the resolver or the socket; it names the host, which is the operator's, and no secret.
        return UpstreamUnreachable(f"The provider of instance '{instance}' cannot be reached.", detail=fault.msg[:200])
    return UpstreamUnreachable(f"The provider of instance '{instance}' broke off before it answered.", detail="broken")
