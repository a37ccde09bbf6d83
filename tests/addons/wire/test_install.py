from __future__ import annotations

import pytest
from mitmproxy import version
from mitmproxy.proxy import mode_servers
from mitmproxy.proxy.layers import http as http_layers
from mitmproxy.proxy.layers.http import _http1

from addons.last_resort import error_page
from addons.wire.connection import GatewayConnection
from addons.wire.http1 import BoundedClient, BoundedServer
from addons.wire.install import TESTED_WITH, UntestedVersion, install
from addons.wire.stream import GatewayStream


def test_our_layers_take_the_place_of_mitmproxy_s() -> None:
    install()
    assert (http_layers.HttpStream, http_layers.Http1Client) == (GatewayStream, BoundedClient)
    assert http_layers.Http1Server is BoundedServer
    assert mode_servers.ProxyConnectionHandler is GatewayConnection
    assert _http1.make_error_response is error_page


def test_this_mitmproxy_is_a_tested_one() -> None:
    assert version.VERSION in TESTED_WITH


def test_another_version_is_refused_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(version, "VERSION", "12.3.0")
    with pytest.raises(UntestedVersion) as raised:
        install()
    assert raised.value.strerror.startswith("mitmproxy 12.3.0 is installed; this release was tested with 12.2.3 only.")
