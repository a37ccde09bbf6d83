"""A port that cannot be had is named, with the option that chose it."""

from __future__ import annotations

import errno
import socket

import pytest
from mitmproxy import options
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.proxy import mode_specs
from mitmproxy.test import taddons

from addons.exchange import Exchanges
from addons.launch.doors import open_doors, why_not
from addons.launch.listeners import ListenFailed
from tests.fixtures.serving import free_port


class Failed:
    last_exception = OSError(errno.EADDRINUSE, "x")
    mode = mode_specs.ProxyMode.parse("regular@127.0.0.1:8443")


@pytest.mark.parametrize(("tls", "option"), [(True, "server.tls_port"), (False, "server.port")])
def test_the_listener_that_could_not_be_opened_is_named(
    monkeypatch: pytest.MonkeyPatch, tls: bool, option: str
) -> None:
    proxyserver, exchanges = Proxyserver(), Exchanges()
    exchanges.tls_listener = Failed.mode if tls else None
    monkeypatch.setattr(proxyserver.servers, "_instances", {Failed.mode: Failed()})
    assert option in str(why_not(proxyserver, exchanges))
    assert "8443" in str(why_not(proxyserver, exchanges))


async def test_a_port_that_is_taken_is_an_error_and_no_line_of_mitmproxy(caplog: pytest.LogCaptureFixture) -> None:
    proxyserver = Proxyserver()
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        taddons.context(proxyserver, options=options.Options()) as context,
    ):
        context.configure(proxyserver, mode=[f"regular@127.0.0.1:{other.getsockname()[1]}"])
        with pytest.raises(ListenFailed, match="is taken by another program"):
            await open_doors(proxyserver, Exchanges())
    assert not [one for one in caplog.records if one.levelname == "ERROR"]


async def test_a_port_that_can_be_had_is_open() -> None:
    proxyserver, port = Proxyserver(), free_port()
    with taddons.context(proxyserver, options=options.Options()) as context:
        context.configure(proxyserver, mode=[f"regular@127.0.0.1:{port}"])
        await open_doors(proxyserver, Exchanges())
        socket.create_connection(("127.0.0.1", port), 1).close()
        await proxyserver.servers.update([])
