"""A mitmproxy master with just the addons that are needed, which drains before it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from mitmproxy import master, options
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.utils import asyncio_utils

from addons.chain import chain
from addons.exchange import Exchanges
from addons.failclosed import HOOK_TIME_LIMIT, FailClosed
from addons.launch.doors import open_doors
from addons.launch.drain import Drain
from addons.launch.listeners import Listeners, own_ports
from addons.launch.watchdog import Watchdog
from addons.wire.certificates import GatewayTls
from addons.wire.dial import Dialer
from addons.wire.install import install
from addons.wire.next_layer import GatewayNextLayer
from llmauth.gateway import Gateway

# Nothing here may be left to mitmproxy's defaults: several of them contact a provider before anybody was asked, or
# carry bytes that no layer of ours has read.
FIXED: dict[str, Any] = {
    "connection_strategy": "lazy",
    "upstream_cert": False,
    "rawtcp": False,
    "websocket": False,
    "http3": False,
    "ssl_insecure": False,
    "validate_inbound_headers": True,
    # mitmproxy counts a provider that thinks as inactivity; the deadlines of the chain are shorter and tell it apart.
    "tcp_timeout": 3600,
    "tls_version_client_min": "TLS1_2",
    "tls_version_server_min": "TLS1_2",
}

Chain = Callable[[Gateway, Exchanges], Sequence[Any]]


def fixed(listeners: Listeners) -> dict[str, Any]:
    """The value of every option that a master of this gateway needs, under our own command and under a stock tool."""
    ours = {"http2": listeners.http2, "mode": list(listeners.modes), "ssl_verify_upstream_trusted_ca": listeners.roots}
    return {**FIXED, **ours}


def carried(gateway: Gateway, exchanges: Exchanges, listeners: Listeners, chain: Chain = chain) -> list[Any]:
    """The chain, between the addons that its connections need."""
    exchanges.tls_listener = listeners.tls_mode
    return [
        GatewayNextLayer(exchanges),
        GatewayTls(lambda: gateway.plan.authority, exchanges, listeners.certificate, gateway.client_authorities),
        *chain(gateway, exchanges),
        Watchdog(),
    ]


def dial_by_policy(gateway: Gateway, listeners: Listeners, *others: int) -> Dialer:
    """Judge every address that the running loop looks up for a dial; `others` are more ports of this process."""
    own = own_ports(gateway.settings, listeners) | set(others)
    dialer = Dialer(own_ports=own)
    dialer.follow(gateway.plan.way)
    dialer.install(asyncio.get_running_loop())
    return dialer


class GatewayMaster(master.Master):
    """Runs the chain until it is told to drain. Must be made inside the event loop that it will run in."""

    def __init__(
        self,
        gateway: Gateway,
        listeners: Listeners,
        *,
        chain: Chain = chain,
        hook_time_limit: float = HOOK_TIME_LIMIT,
        more_ports: Sequence[int] = (),
    ) -> None:
        install()
        super().__init__(options.Options(), with_termlog=False)
        # A handler of mitmproxy's that starts a hook for every log record; nothing of ours listens to it.
        self._legacy_log_events.uninstall()
        self.addons = FailClosed(self, hook_time_limit)
        self.gateway = gateway
        self.exchanges = Exchanges()
        self.addons.add(Proxyserver(), *carried(gateway, self.exchanges, listeners, chain))
        self.options.update(**fixed(listeners))
        self.listeners = listeners
        self.dialer = dial_by_policy(gateway, listeners, *more_ports)
        self._drain = Drain(self, self.proxyserver, self.exchanges, lambda: gateway.settings.server.drain_timeout)

    @property
    def proxyserver(self) -> Proxyserver:
        server = self.addons.get("proxyserver")
        assert isinstance(server, Proxyserver)
        return server

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Listen, call `ready`, serve, and return when told to stop; ListenFailed when a port cannot be had."""
        with (
            asyncio_utils.install_exception_handler(self._asyncio_exception_handler),
            asyncio_utils.set_eager_task_factory(),
        ):
            self.should_exit.clear()
            await open_doors(self.proxyserver, self.exchanges)
            try:
                await self.running()
                ready()
                await self.should_exit.wait()
            finally:
                await self.done()

    async def done(self) -> None:
        """The last hooks of every addon."""
        await self.addons.trigger_event(master.hooks.DoneHook())

    def obey_signals(self) -> None:
        """SIGTERM and SIGINT drain; a second one ends at once."""
        self._drain.obey_signals()

    def drain(self) -> None:
        """Begin to drain, however often it is said."""
        self._drain.begin()

    def stop(self) -> None:
        """Begin to drain, or end at once when that has begun."""
        self._drain.stop()
