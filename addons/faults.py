"""What went wrong on the provider's side, answered in the shape the client knows and blamed on whom it belongs to."""

from __future__ import annotations

import logging

from mitmproxy import http
from mitmproxy.proxy.layers.http._events import ErrorCode

from addons.exchange import Exchange, Exchanges
from addons.stage import fail
from addons.wire.signals import Stopped
from addons.wire.stream import TOO_LONG, UpstreamFault
from llmauth.errors import (
    BrokenAnswer,
    GatewayError,
    HostNotServed,
    UpstreamProxyFailed,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from llmauth.upstream_proxy import PROXY_FAILED

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
        if exchange is None or flow.response is not None:
            return
        if isinstance(fault, Stopped):
            fail(flow, exchange, fault.error)
        elif isinstance(fault, UpstreamFault):
            fail(flow, exchange, _judge(exchange, fault))


def _judge(exchange: Exchange, fault: UpstreamFault) -> GatewayError:
    if fault.msg.startswith(PROXY_FAILED):
        sentence = f"{fault.msg[:1].upper()}{fault.msg[1:200]}."
        return UpstreamProxyFailed(sentence, hint="It is neither your key nor the provider.", detail="upstream proxy")
    if exchange.handler is None:
        return _judge_other(exchange, fault)
    instance = exchange.handler.name
    if exchange.timed_out and exchange.sent_at is None:
        return UpstreamTimeout(f"The provider of instance '{instance}' could not be connected to in time.")
    if exchange.timed_out:
        did = "begin to answer" if exchange.first_byte_at is None else "answer"
        late = f"The provider of instance '{instance}' did not {did} in time."
        return UpstreamTimeout(late, detail=exchange.limit or "")
    if _BAD_CERTIFICATE in fault.msg.lower():
        message = f"The certificate of the provider of instance '{instance}' could not be verified."
        hint = "Nothing was sent. A private CA is added with upstream.ca_file."
        return UpstreamUnreachable(message, hint=hint, detail="certificate")
    if _REFUSED_ADDRESS in fault.msg:
        message = f"The name of the provider of instance '{instance}' leads to a private address."
        return UpstreamUnreachable(
            message, hint="Name it in upstream.allow_private if that is meant.", detail="address"
        )
    if fault.msg == TOO_LONG:
        return BrokenAnswer(f"The answer of the provider of instance '{instance}' is too long to be translated.")
    if fault.code is ErrorCode.CONNECT_FAILED:
        # The text comes from the resolver or the socket; it names the host, which is the operator's, and no secret.
        return UpstreamUnreachable(f"The provider of instance '{instance}' cannot be reached.", detail=fault.msg[:200])
    return UpstreamUnreachable(f"The provider of instance '{instance}' broke off before it answered.", detail="broken")


def _judge_other(exchange: Exchange, fault: UpstreamFault) -> GatewayError:
    """A host that is no provider of ours: its caller chose it, so a refused address is a matter of policy."""
    if _REFUSED_ADDRESS in fault.msg:
        return HostNotServed("This host leads to an address that callers may not reach.", detail="address")
    if exchange.timed_out:
        return UpstreamTimeout("The host could not be connected to, or did not begin to answer, in time.")
    if fault.code is ErrorCode.CONNECT_FAILED:
        return UpstreamUnreachable("The host cannot be reached.", detail=fault.msg[:200])
    return UpstreamUnreachable("The host broke off before it answered.", detail="broken")
