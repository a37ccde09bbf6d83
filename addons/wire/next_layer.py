"""Proxy or gateway, told by the first line of a connection; TLS where there should be TLS; nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from mitmproxy.addons import next_layer
from mitmproxy.addons.next_layer import NeedsMoreData
from mitmproxy.connection import Client
from mitmproxy.net.tls import starts_like_tls_record
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import Layer
from mitmproxy.proxy.layers import ClientTLSLayer, HttpLayer
from mitmproxy.proxy.layers.http import HTTPMode
from mitmproxy.proxy.layers.modes import HttpProxy

from addons.exchange import Exchanges
from addons.wire.client_tls import BoundedClientTls
from addons.wire.closed import Closed
from addons.wire.http_layer import GatewayHttp

# What a gateway connection seems to lead to until a request was routed; never dialled, `.invalid` cannot resolve.
NOWHERE = ("gateway.invalid", 1)
_LONGEST_METHOD = 24
_TLS_HANDSHAKE = 0x16
_HTTP2 = b"h2"
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113, 3.4


class GatewayNextLayer(next_layer.NextLayer):
    """Takes mitmproxy's place under its own name, so that it also stands in where a stock master built the list."""

    name = "nextlayer"

    def __init__(self, exchanges: Exchanges) -> None:
        super().__init__()
        self._exchanges = exchanges

    def _next_layer(self, context: Context, data_client: bytes, data_server: bytes) -> Layer | None:
        if context.client.error:
            return Closed(context)
        below = context.layers
        if any(isinstance(one, HttpLayer) for one in below):
            return self._in_tunnel(context, data_client)
        if below and isinstance(below[0], HttpProxy):
            return self._first(context, data_client, ended_tls=_tls_layers(below) > 0)
        return Closed(context)

    def _first(self, context: Context, data: bytes, *, ended_tls: bool) -> Layer:
        """The first bytes of a connection, or the first bytes inside the TLS of the TLS listener."""
        secure = self._exchanges.listens_tls(context.client)
        if _tls(data):
            return BoundedClientTls(context) if secure and not ended_tls else Closed(context)
        if secure and not ended_tls:
            return Closed(context)
        peer = self._exchanges.peer(context.client)
        if _http2(context.client, data) or _origin_form(data):
            peer.gateway = True
            context.server.address = NOWHERE
            return GatewayHttp(context, HTTPMode.transparent)
        return GatewayHttp(context, HTTPMode.regular)

    def _in_tunnel(self, context: Context, data: bytes) -> Layer:
        """Inside a CONNECT whose target was let in: TLS that we end, or a request that is refused for its lack."""
        ended_tls = _tls_layers(context.layers) > _tls_layers(_before_connect(context.layers))
        if _tls(data) and not ended_tls:
            return BoundedClientTls(context)
        # It gives the inner request its scheme: plain HTTP in a tunnel arrives as http:// and is refused by screening.
        context.server.tls = ended_tls
        return GatewayHttp(context, HTTPMode.transparent)


def _tls_layers(layers: Sequence[Layer]) -> int:
    return sum(isinstance(below, ClientTLSLayer) for below in layers)


def _before_connect(layers: Sequence[Layer]) -> Sequence[Layer]:
    """The layers under the CONNECT: with a TLS layer on the TLS listener, without one on the other."""
    return layers[: next(i for i, below in enumerate(layers) if isinstance(below, HttpLayer))]


def _tls(data: bytes) -> bool:
    if data[:1] == bytes([_TLS_HANDSHAKE]) and len(data) < 3:
        raise NeedsMoreData
    return starts_like_tls_record(data)


def _http2(client: Client, data: bytes) -> bool:
    """Whether a client that chose HTTP/2 means it, and with that the gateway.

    Some offer it towards a proxy as well, since they offer it everywhere, and then ask for their tunnel in HTTP/1.1.
    """
    if client.alpn != _HTTP2:
        return False
    if data.startswith(_PREFACE):
        return True
    if _PREFACE.startswith(data):
        raise NeedsMoreData
    client.alpn = b"http/1.1"
    return False


def _origin_form(data: bytes) -> bool:
    """Whether the request target starts with `/` or `*`; waits for that byte, however slowly it comes."""
    line = data.lstrip(b"\r\n")
    _, blank, target = line.partition(b" ")
    if not target:
        if not blank and (len(data) > _LONGEST_METHOD or b"\n" in line):
            return False
        raise NeedsMoreData
    return target[:1] in (b"/", b"*")
