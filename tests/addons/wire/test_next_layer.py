from __future__ import annotations

import pytest
from mitmproxy.addons.next_layer import NeedsMoreData
from mitmproxy.proxy import mode_specs
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import Layer
from mitmproxy.proxy.layers import ClientTLSLayer, TCPLayer
from mitmproxy.proxy.layers.http import HTTPMode
from mitmproxy.proxy.layers.modes import HttpProxy

from addons.exchange import Exchanges
from addons.wire.closed import Closed
from addons.wire.http_layer import GatewayHttp
from addons.wire.next_layer import NOWHERE, GatewayNextLayer
from tests.addons.layers import context

HELLO = b"\x16\x03\x01\x02\x00\x01"
TLS_MODE = "regular@8443"


@pytest.fixture
def exchanges() -> Exchanges:
    made = Exchanges()
    made.tls_listener = mode_specs.ProxyMode.parse(TLS_MODE)
    return made


def at_the_door(mode: str = "regular@8080", *, ended_tls: bool = False) -> Context:
    made = context(mode)
    made.server.state = made.server.state.CLOSED
    HttpProxy(made)
    if ended_tls:
        ClientTLSLayer(made)
    return made


def in_a_tunnel(*, ended_tls: bool = False) -> Context:
    made = at_the_door()
    GatewayHttp(made, HTTPMode.regular)
    if ended_tls:
        ClientTLSLayer(made)
    return made


def chosen(exchanges: Exchanges, made: Context, data: bytes) -> Layer | None:
    return GatewayNextLayer(exchanges)._next_layer(made, data, b"")


GATEWAY = [b"GET /", b"POST /x HTTP/1.1", b"OPTIONS *", b"\r\nGET /", b"\r\n\r\nGET /x", b"X" * 30 + b" /"]
PROXY = [
    b"CONNECT x",
    b"GET h",
    b"GET http://x/ HTTP/1.1",
    b"GET  /",
    b"NONSENSE\r\n",
    b"\r\nNONSENSE\n",
    b"X" * 30,
    b"\r\n" * 13,
]
SHORT = [b"", b"G", b"GET", b"GET ", b"\r", b"\r\n", b"\r\nGET", b"\x16", b"\x16\x03"]


@pytest.mark.parametrize("ended_tls", [False, True])
@pytest.mark.parametrize("data", GATEWAY)
def test_origin_form_is_a_gateway_connection_and_leads_nowhere(
    exchanges: Exchanges, data: bytes, ended_tls: bool
) -> None:
    made = at_the_door(TLS_MODE, ended_tls=True) if ended_tls else at_the_door()
    layer = chosen(exchanges, made, data)
    assert isinstance(layer, GatewayHttp)
    assert (layer.mode, made.server.address) == (HTTPMode.transparent, NOWHERE)
    assert exchanges.peer(made.client).gateway


@pytest.mark.parametrize("data", PROXY)
def test_everything_else_is_a_proxy_connection(exchanges: Exchanges, data: bytes) -> None:
    made = at_the_door()
    layer = chosen(exchanges, made, data)
    assert isinstance(layer, GatewayHttp)
    assert layer.mode is HTTPMode.regular
    assert not exchanges.peer(made.client).gateway


@pytest.mark.parametrize("data", SHORT)
def test_what_cannot_be_told_yet_is_waited_for(exchanges: Exchanges, data: bytes) -> None:
    with pytest.raises(NeedsMoreData):
        chosen(exchanges, at_the_door(), data)


def test_tls_where_it_should_be_and_nothing_else(exchanges: Exchanges) -> None:
    assert isinstance(chosen(exchanges, at_the_door(TLS_MODE), HELLO), ClientTLSLayer)
    assert isinstance(chosen(exchanges, at_the_door(), HELLO), Closed)
    assert isinstance(chosen(exchanges, at_the_door(TLS_MODE), b"GET / HTTP/1.1"), Closed)
    assert isinstance(chosen(exchanges, at_the_door(TLS_MODE, ended_tls=True), HELLO), Closed)


def test_inside_a_tunnel_is_tls_and_inside_that_http(exchanges: Exchanges) -> None:
    assert isinstance(chosen(exchanges, in_a_tunnel(), HELLO), ClientTLSLayer)
    made = in_a_tunnel(ended_tls=True)
    layer = chosen(exchanges, made, b"GET / HTTP/1.1")
    assert isinstance(layer, GatewayHttp)
    assert (layer.mode, made.server.tls) == (HTTPMode.transparent, True)


def test_plain_http_inside_a_tunnel_is_known_as_such(exchanges: Exchanges) -> None:
    made = in_a_tunnel()
    layer = chosen(exchanges, made, b"GET / HTTP/1.1")
    assert isinstance(layer, GatewayHttp)
    assert made.server.tls is False


def test_tls_of_the_listener_is_not_that_of_the_tunnel(exchanges: Exchanges) -> None:
    made = at_the_door(TLS_MODE, ended_tls=True)
    GatewayHttp(made, HTTPMode.regular)
    assert isinstance(chosen(exchanges, made, HELLO), ClientTLSLayer)
    ClientTLSLayer(made)
    assert isinstance(chosen(exchanges, made, b"GET / HTTP/1.1"), GatewayHttp)
    assert made.server.tls is True


def test_who_was_given_up_is_closed(exchanges: Exchanges) -> None:
    made = at_the_door()
    made.client.error = "a hook failed"
    assert isinstance(chosen(exchanges, made, b"GET / HTTP/1.1"), Closed)


def test_no_other_stack_is_served(exchanges: Exchanges) -> None:
    assert isinstance(chosen(exchanges, context(), b"GET / HTTP/1.1"), Closed)
    made = context()
    TCPLayer(made)
    assert isinstance(chosen(exchanges, made, b"GET / HTTP/1.1"), Closed)


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def test_who_chose_http2_on_the_tls_listener_is_a_client_of_the_gateway(exchanges: Exchanges) -> None:
    made = at_the_door(TLS_MODE, ended_tls=True)
    made.client.alpn = b"h2"
    for length in range(1, len(PREFACE)):
        with pytest.raises(NeedsMoreData):
            chosen(exchanges, made, PREFACE[:length])
    layer = chosen(exchanges, made, PREFACE + b"\0")
    assert isinstance(layer, GatewayHttp)
    assert layer.mode is HTTPMode.transparent
    assert exchanges.peer(made.client).gateway
    assert made.server.address == NOWHERE


@pytest.mark.parametrize(("data", "gateway"), [(b"CONNECT a:443 HTTP/1.1\r\n", False), (b"P /x HTTP/1.1\r\n", True)])
def test_who_chose_it_and_speaks_http11_is_taken_at_its_word(exchanges: Exchanges, data: bytes, gateway: bool) -> None:
    made = at_the_door(TLS_MODE, ended_tls=True)
    made.client.alpn = b"h2"
    assert isinstance(chosen(exchanges, made, data), GatewayHttp)
    assert exchanges.peer(made.client).gateway is gateway
    assert made.client.alpn == b"http/1.1"
