"""Our own page on every door: a caller that is known sees that its request came through us, and as whose."""

from __future__ import annotations

import json

from mitmproxy import http

from addons import convert
from addons.exchange import Exchange, Exchanges
from addons.stage import stage
from llmauth import __version__
from llmauth.context import Authenticated
from llmauth.gateway import Gateway
from llmauth.http import Door, Headers, Response

# RFC 8615, 3: "a well-known URI is a URI whose path component begins with the characters '/.well-known/'"; no provider
# has one of this name, and nothing but this very path is kept from it.
CHECKUP = "/.well-known/llmauth"
_READS = ("GET", "HEAD")
_FIELDS = Headers([(b"content-type", b"application/json"), (b"cache-control", b"no-store")])


def _is_ours(exchange: Exchange) -> bool:
    """By the path to the byte, without a query; whatever differs is the provider's."""
    return exchange.request.url.path == CHECKUP and exchange.request.method in _READS


class Checkup:
    """Answers in the place of the provider whose tunnel it came by: nobody is asked, and nothing is counted or paid.

    So a client proves with one request that it goes through the proxy, believes its certificate, and kept its
    credential.
    """

    name = "checkup"

    def __init__(self, gateway: Gateway, exchanges: Exchanges) -> None:
        self.gateway = gateway
        self.exchanges = exchanges

    @stage(Authenticated, only=_is_ours)
    def requestheaders(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Behind whoever tells who is calling, and before whoever tells where requests go."""
        if exchange.promise is None and self._is_to_us(exchange):
            assert isinstance(exchange.context, Authenticated)
            body = json.dumps(_facts(exchange, exchange.context)).encode()
            convert.answer(flow, Response(status=200, headers=_FIELDS, body=body))

    def _is_to_us(self, exchange: Exchange) -> bool:
        """What is carried in clear text to somebody else's host is theirs, whatever its path."""
        return exchange.door is not Door.ABSOLUTE or exchange.plan.is_gateway_host(exchange.request.url.host)


def _facts(exchange: Exchange, context: Authenticated) -> dict[str, object]:
    """What whoever asks has shown or written itself, and the version."""
    host = exchange.request.tunnel.host if exchange.request.tunnel is not None else None
    return {
        "service": "llm-proxy-auth",
        "version": __version__,
        "door": exchange.door.value,
        "host": host,
        "user": context.identity.user,
        "method": context.identity.method,
        "request_id": context.request_id,
    }
