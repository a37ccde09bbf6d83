from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy.proxy import mode_specs
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import HTTPMode
from mitmproxy.tls import TlsData

from addons.exchange import Exchanges
from addons.wire.certificates import GatewayTls, read_listener
from addons.wire.http_layer import GatewayHttp
from llmauth.addresses import HostPort
from llmauth.ca import Authority, CaError
from tests.addons.layers import context
from tests.fixtures.certificates import listener

TLS_MODE = "regular@8443"


@pytest.fixture
def exchanges() -> Exchanges:
    made = Exchanges()
    made.tls_listener = mode_specs.ProxyMode.parse(TLS_MODE)
    return made


@pytest.fixture
def tls(tmp_path: Path, exchanges: Exchanges) -> GatewayTls:
    server, _ = listener(tmp_path)
    entry = read_listener(Path(server["tls_cert_file"]), Path(server["tls_key_file"]))
    made = Authority.load_or_create(tmp_path / "ca", ["openai.com"], create=True)
    return GatewayTls(lambda: made, exchanges, entry)


def tunnel(exchanges: Exchanges, host: str, mode: str = "regular@8080") -> Context:
    made = context(mode)
    GatewayHttp(made, HTTPMode.regular)
    exchanges.peer(made.client).tunnel = HostPort(host, 443)
    return made


def names(entry: Any) -> list[str]:
    return [name.value for name in entry.cert.altnames]


def test_the_tls_listener_shows_the_operator_s_file_whatever_is_asked(tls: GatewayTls) -> None:
    made = context(TLS_MODE)
    for sni in (None, "llm.internal", "api.openai.com", "elsewhere.example"):
        made.client.sni = sni
        assert names(tls.get_cert(made)) == ["llm.internal", "localhost"]


@pytest.mark.parametrize("mode", ["regular@8080", TLS_MODE])
def test_a_tunnel_shows_a_leaf_for_its_target_whatever_is_asked(
    tls: GatewayTls, exchanges: Exchanges, mode: str
) -> None:
    made = tunnel(exchanges, "api.openai.com", mode)
    made.client.sni = "elsewhere.example"
    entry = tls.get_cert(made)
    assert names(entry) == ["api.openai.com"]
    assert entry.privatekey is not None


def test_a_tunnel_to_what_may_not_be_signed_gets_nothing(tls: GatewayTls, exchanges: Exchanges) -> None:
    with pytest.raises(CaError):
        tls.get_cert(tunnel(exchanges, "bank.example"))


def test_tls_outside_a_tunnel_gets_nothing(tls: GatewayTls) -> None:
    with pytest.raises(LookupError):
        tls.get_cert(context())


def test_who_was_given_up_gets_no_handshake(tls: GatewayTls) -> None:
    made = context(TLS_MODE)
    made.client.error = "a hook failed"
    start = TlsData(made.client, made)
    tls.tls_start_client(start)
    assert start.ssl_conn is None


def test_the_stock_addon_s_own_pages_and_files_are_gone(tls: GatewayTls) -> None:
    assert tls.request is None
    tls.configure({"confdir"})
    tls.running()
    assert isinstance(tls.certstore, SimpleNamespace)


def test_a_chain_is_read_whole(tmp_path: Path) -> None:
    server, ca_file = listener(tmp_path)
    file = Path(server["tls_cert_file"])
    file.write_bytes(file.read_bytes() + ca_file.read_bytes())
    entry = read_listener(file, Path(server["tls_key_file"]))
    assert len(entry.chain_certs) == 2
    assert entry.cert == entry.chain_certs[0]


@pytest.mark.parametrize("spoilt", ["tls.crt", "tls.key"])
def test_what_is_in_a_file_is_not_repeated(tmp_path: Path, spoilt: str) -> None:
    server, _ = listener(tmp_path)
    (tmp_path / spoilt).write_text("canary")
    with pytest.raises(ValueError, match="PEM") as raised:
        read_listener(Path(server["tls_cert_file"]), Path(server["tls_key_file"]))
    assert "canary" not in str(raised.value)
