from __future__ import annotations

from mitmproxy import http
from mitmproxy.connection import ConnectionState
from mitmproxy.proxy import events
from mitmproxy.proxy.layers.http import HTTPMode

from addons.wire.http_layer import GatewayHttp
from addons.wire.install import install
from tests.addons.layers import HOST, Exchange, context

install()

GET = b"GET /v1/x HTTP/1.1\r\nHost: gateway\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def route(flow: http.HTTPFlow) -> None:
    flow.request.data.host, flow.request.data.port, flow.request.data.scheme = *HOST, b"http"


def answer(flow: http.HTTPFlow) -> None:
    flow.response = http.Response.make(502, b"")


def wired() -> tuple[Exchange, GatewayHttp]:
    made = context()
    made.server.state = ConnectionState.CLOSED
    made.server.address = ("gateway.invalid", 1)
    layer = GatewayHttp(made, HTTPMode.transparent)
    return Exchange(layer, made, {"request": route, "error": answer}), layer


def test_a_provider_that_could_not_be_reached_is_dialled_again() -> None:
    exchange, _ = wired()
    exchange.dial = "Connection refused"
    assert exchange.client_sends(GET).startswith(b"HTTP/1.1 502")
    exchange.dial = None
    exchange.client_sends(GET)
    assert len(exchange.dials) == 2
    assert exchange.provider_sends(OK).endswith(b"ok")


def test_connections_that_ended_are_forgotten() -> None:
    exchange, layer = wired()
    for _ in range(5):
        exchange.client_sends(GET)
        exchange.provider_sends(OK)
        exchange.provider_closes()
    assert len(exchange.dials) == 5
    assert len(layer.connections) == 2  # the client, and the last one until it is looked at


def test_a_forgotten_connection_may_still_say_that_it_ended() -> None:
    exchange, layer = wired()
    exchange.dial = "Connection refused"
    exchange.client_sends(GET)
    exchange.dial = None
    exchange.client_sends(GET)
    exchange.happen(events.ConnectionClosed(exchange.dials[0]))
    assert exchange.dials[0] not in layer.connections
    assert exchange.provider_sends(OK).endswith(b"ok")


def test_a_connection_that_is_good_is_used_again() -> None:
    exchange, _ = wired()
    for _ in range(3):
        exchange.client_sends(GET)
        exchange.provider_sends(OK)
    assert len(exchange.dials) == 1
