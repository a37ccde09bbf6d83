"""Our master with a chain that does nothing: what the full chain costs over this is what the gateway's addons cost."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from mitmproxy import http
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from addons.exchange import Exchanges
from addons.launch.listeners import listeners
from addons.launch.master import GatewayMaster
from llmauth.addresses import HostPort
from llmauth.config.settings import read_settings
from llmauth.gateway import Gateway

HOST = "api.openai.com"


class Nothing:
    """Sends every request to the one provider, as it is."""

    def __init__(self, exchanges: Exchanges) -> None:
        self.exchanges = exchanges

    def http_connect(self, flow: http.HTTPFlow) -> None:
        self.exchanges.peer(flow.client_conn).tunnel = HostPort(HOST, 443)

    def request(self, flow: http.HTTPFlow) -> None:
        data = flow.request.data
        data.scheme, data.host, data.port = b"https", HOST, 443
        data.path = data.path.removeprefix(b"/transparent/openai")

    def server_connect(self, data: ServerConnectionHookData) -> None:
        data.server.sni = HOST
        data.server.alpn_offers = (b"http/1.1",)

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        assert flow.response
        flow.response.stream = "content-length" not in flow.response.headers


async def main() -> None:
    """Serve until killed, with the settings that the benchmark wrote."""
    settings = read_settings([Path(sys.argv[1])], dict(os.environ))
    gateway = Gateway(settings, dict(os.environ))
    await GatewayMaster(gateway, listeners(settings), chain=lambda _, exchanges: [Nothing(exchanges)]).run()


if __name__ == "__main__":
    asyncio.run(main())
