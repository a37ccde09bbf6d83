"""A handshake that asks for a certificate: of whom, for how many, and never for a session that goes on elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from mitmproxy import ctx, options
from mitmproxy.addons import tlsconfig
from mitmproxy.test import taddons
from mitmproxy.tls import TlsData
from OpenSSL import SSL

from addons.exchange import Exchanges
from addons.wire.certificates import GatewayTls, read_listener
from addons.wire.client_certificate import asking
from llmauth.ca import Authority
from tests.addons.layers import context
from tests.addons.wire.test_certificates import TLS_MODE, exchanges, tunnel
from tests.fixtures.certificates import listener
from tests.fixtures.client_certificates import authority

__all__ = ["exchanges"]


@pytest.fixture
def stock_options() -> Iterator[options.Options]:
    with taddons.context(tlsconfig.TlsConfig()) as made:
        yield made.options


@pytest.fixture
def tls(tmp_path: Path, exchanges: Exchanges, stock_options: options.Options) -> GatewayTls:
    server, _ = listener(tmp_path)
    entry = read_listener(Path(server["tls_cert_file"]), Path(server["tls_key_file"]))
    made = Authority.load_or_create(tmp_path / "ca", ["openai.com"], create=True)
    root = authority()
    return GatewayTls(lambda: made, exchanges, entry, lambda: (root.certificate,))


def begun(tls: GatewayTls, start: TlsData) -> SSL.Connection:
    tls.tls_start_client(start)
    assert start.ssl_conn is not None
    return start.ssl_conn


def test_the_listener_asks_and_no_tunnel_does(tls: GatewayTls, exchanges: Exchanges) -> None:
    made = context(TLS_MODE)
    connection = begun(tls, TlsData(made.client, made))
    assert connection.get_verify_mode() == SSL.VERIFY_PEER
    assert connection.get_context().get_session_cache_mode() == SSL.SESS_CACHE_OFF
    assert connection.get_app_data()["http2"] is ctx.options.http2
    for mode in (TLS_MODE, "regular@8080"):
        inside = tunnel(exchanges, "api.openai.com", mode)
        assert begun(tls, TlsData(inside.client, inside)).get_verify_mode() == SSL.VERIFY_NONE


def test_where_nobody_is_asked_the_stock_context_serves(tls: GatewayTls) -> None:
    tls._clients = lambda: None
    made = context(TLS_MODE)
    assert begun(tls, TlsData(made.client, made)).get_verify_mode() == SSL.VERIFY_NONE


def test_a_context_is_made_once_for_the_same_authorities(tls: GatewayTls) -> None:
    def connection() -> SSL.Connection:
        made = context(TLS_MODE)
        return begun(tls, TlsData(made.client, made))

    assert connection().get_context() is connection().get_context()
    before = connection().get_context()
    other = authority("Other clients")
    tls._clients = lambda: (other.certificate,)
    after = connection().get_context()
    assert after is not before
    assert [name.CN for name in connection().get_client_ca_list()] == ["Other clients"]


def test_a_long_list_of_authorities_is_not_told(tls: GatewayTls) -> None:
    made = context(TLS_MODE)
    stock = begun(tls, TlsData(made.client, made))
    assert tls._listener is not None
    many = [authority(f"CA {number}").certificate for number in range(51)]
    assert asking(stock, tls._listener, many).get_client_ca_list() == []
    assert len(asking(stock, tls._listener, many[:50]).get_client_ca_list()) == 50


def test_what_a_client_shows_in_a_tunnel_is_not_kept(tls: GatewayTls, exchanges: Exchanges) -> None:
    inside = tunnel(exchanges, "api.openai.com", TLS_MODE)
    inside.client.certificate_list = ["not looked at"]  # type: ignore[list-item]
    tls.tls_established_client(TlsData(inside.client, inside))
    assert exchanges.peer(inside.client).certificate == ()
