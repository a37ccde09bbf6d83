"""The four names of a request, its version and its frames, as screening sees them on real flows and real hellos."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from mitmproxy import http
from mitmproxy.proxy.layers.tls import parse_client_hello
from mitmproxy.tls import ClientHello, ClientHelloData
from OpenSSL import SSL

from addons.arrive import Arrive
from addons.screen import Screen
from tests.addons import flows
from tests.addons.conftest import House


@pytest.fixture
def screen(house: House) -> Screen:
    return Screen(house.exchanges)


def headed(house: House, flow: http.HTTPFlow) -> http.HTTPFlow:
    """The flow as it comes to screening."""
    arrive = Arrive(house.gateway, house.exchanges)
    arrive.http_connect(flow) if flow.request.data.method == b"CONNECT" else arrive.requestheaders(flow)
    return flow


def status(flow: http.HTTPFlow) -> int | None:
    return flow.response.status_code if flow.response else None


def test_what_honest_clients_send_passes(house: House, screen: Screen) -> None:
    for make in (flows.gateway, flows.inside, flows.absolute):
        flow = headed(house, make(house.exchanges))
        screen.requestheaders(flow)
        assert status(flow) is None
    flow = headed(house, flows.connect(house.exchanges))
    screen.http_connect(flow)
    assert status(flow) is None


@pytest.mark.parametrize(
    ("fields", "authority", "sni"),
    [
        ((b"Host", b"evil.example"), b"", flows.HOST),
        ((b"Host", b"api.openai.com:444"), b"", flows.HOST),
        ((b"Host", b"api.openai.com"), b"evil.example", flows.HOST),
        ((b"Host", b"api.openai.com"), b"api.openai.com:444", flows.HOST),
        ((b"Host", b"api.openai.com"), b"", "evil.example"),
        ((b"Host", b"api.openai.com"), b"", ""),
    ],
)
def test_names_that_disagree_are_misdirected(
    house: House, screen: Screen, fields: tuple[bytes, bytes], authority: bytes, sni: str
) -> None:
    flow = headed(house, flows.inside(house.exchanges, fields, authority=authority, sni=sni))
    screen.requestheaders(flow)
    assert status(flow) == 421
    assert flow.response.headers["connection"] == "close"


def test_without_a_server_name_the_other_names_decide(house: House, screen: Screen) -> None:
    flow = headed(house, flows.inside(house.exchanges, sni=None))
    screen.requestheaders(flow)
    assert status(flow) is None


@pytest.mark.parametrize("version", [b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1.2"])
def test_only_one_version_is_served(house: House, screen: Screen, version: bytes) -> None:
    flow = headed(house, flows.gateway(house.exchanges, version=version))
    screen.requestheaders(flow)
    assert status(flow) == 400


@pytest.mark.parametrize(("version", "expected"), [(b"HTTP/1.0", None), (b"HTTP/1.1", None), (b"HTTP/2.0", 400)])
def test_a_connect_may_be_older(house: House, screen: Screen, version: bytes, expected: int | None) -> None:
    flow = flows.connect(house.exchanges)
    flow.request.data.http_version = version
    screen.http_connect(headed(house, flow))
    assert status(flow) == expected


@pytest.mark.parametrize(
    ("field", "expected"),
    [((b"Content-Length", b"0"), None), ((b"Content-Length", b"1"), 400), ((b"Transfer-Encoding", b"chunked"), 400)],
)
def test_a_connect_has_no_body(house: House, screen: Screen, field: tuple[bytes, bytes], expected: int | None) -> None:
    flow = headed(house, flows.connect(house.exchanges, flows.HOST, 443, field))
    screen.http_connect(flow)
    assert status(flow) == expected


def test_a_connection_that_was_given_up_serves_nothing(house: House, screen: Screen) -> None:
    flow = headed(house, flows.inside(house.exchanges))
    flow.client_conn.error = "a hook failed"
    screen.requestheaders(flow)
    assert status(flow) == 500


def test_trace_is_not_served(house: House, screen: Screen) -> None:
    flow = headed(house, flows.gateway(house.exchanges, method=b"TRACE"))
    screen.requestheaders(flow)
    assert status(flow) == 405


# ---- the hello -----------------------------------------------------------------------------------------------------


def hello(name: bytes | None) -> ClientHello:
    """A real hello with these bytes as the server name."""
    connection = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD))
    if name is not None:
        connection.set_tlsext_host_name(name)
    connection.set_connect_state()
    with pytest.raises(SSL.WantReadError):
        connection.do_handshake()
    parsed = parse_client_hello(connection.bio_read(65536))
    assert parsed is not None
    return parsed


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        (None, None),
        (b"api.openai.com", "api.openai.com"),
        (b"evil.example", "evil.example"),
        (b"not a name", ""),
        (b"evil!example", ""),
        (b"*.openai.com", ""),
        (b"\xff\xfe", ""),
        (b"a..b", ""),
    ],
)
def test_a_server_name_that_is_no_name_is_not_taken_for_none(
    screen: Screen, name: bytes | None, seen: str | None
) -> None:
    parsed = hello(name)
    peer = SimpleNamespace(sni=parsed.sni)  # as the TLS layer sets it before this hook
    context: Any = SimpleNamespace(client=peer)
    screen.tls_clienthello(ClientHelloData(context, parsed))
    assert peer.sni == seen


def test_several_server_names_are_not_taken_for_none(screen: Screen) -> None:
    peer = SimpleNamespace(sni=None)
    several = cast(ClientHello, SimpleNamespace(sni=None, extensions=[(0, b"two names"), (16, b"")]))
    context: Any = SimpleNamespace(client=peer)
    screen.tls_clienthello(ClientHelloData(context, several))
    assert peer.sni == ""
