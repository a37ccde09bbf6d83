"""A mitmproxy master with just the addons that are needed, which drains before it ends."""

from __future__ import annotations

import asyncio
import errno
import logging
import signal
import time
from collections.abc import Callable, Sequence
from typing import Any

from mitmproxy import master, options
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.utils import asyncio_utils

from addons.chain import chain
from addons.exchange import Exchanges
from addons.failclosed import HOOK_TIME_LIMIT, FailClosed
from addons.launch.listeners import Listeners, ListenFailed, unopened
from addons.launch.watchdog import Watchdog
from addons.wire.certificates import GatewayTls
from addons.wire.dial import Dialer
from addons.wire.install import install
from addons.wire.next_layer import GatewayNextLayer
from llmauth.gateway import Gateway

logger = logging.getLogger(__name__)

# Nothing here may be left to mitmproxy's defaults: several of them contact a provider before anybody was asked, or
# carry bytes that no layer of ours has read.
FIXED: dict[str, Any] = {
    "connection_strategy": "lazy",
    "upstream_cert": False,
    "rawtcp": False,
    "websocket": False,
    "http2": False,
    "http3": False,
    "ssl_insecure": False,
    "validate_inbound_headers": True,
    # mitmproxy counts a provider that thinks as inactivity; the deadlines of the chain are shorter and tell it apart.
    "tcp_timeout": 3600,
    "tls_version_client_min": "TLS1_2",
    "tls_version_server_min": "TLS1_2",
}
_POLL = 0.05

Chain = Callable[[Gateway, Exchanges], Sequence[Any]]


class GatewayMaster(master.Master):
    """Runs the chain until it is told to drain. Must be made inside the event loop that it will run in."""

    def __init__(
        self,
        gateway: Gateway,
        listeners: Listeners,
        *,
        chain: Chain = chain,
        hook_time_limit: float = HOOK_TIME_LIMIT,
    ) -> None:
        install()
        super().__init__(options.Options(), with_termlog=False)
        # A handler of mitmproxy's that starts a hook for every log record; nothing of ours listens to it.
        self._legacy_log_events.uninstall()
        self.addons = FailClosed(self, hook_time_limit)
        self.gateway = gateway
        self.exchanges = Exchanges()
        self.exchanges.tls_listener = listeners.tls_mode
        self.addons.add(
            Proxyserver(),
            GatewayNextLayer(self.exchanges),
            GatewayTls(gateway.authority, self.exchanges, listeners.certificate),
            *chain(gateway, self.exchanges),
            Watchdog(),
        )
        self.options.update(**FIXED, ssl_verify_upstream_trusted_ca=listeners.roots, mode=list(listeners.modes))
        settings = gateway.settings.upstream
        Dialer(settings.resolve, frozenset(settings.allow_private)).install(asyncio.get_running_loop())
        self._drain: asyncio.Task[None] | None = None

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
            await self._listen()
            try:
                await self.running()
                ready()
                await self.should_exit.wait()
            finally:
                await self.done()

    async def _listen(self) -> None:
        quiet = logging.getLogger("mitmproxy.addons.proxyserver")
        quiet.disabled = True  # it would say, in its own words, what the exception says in ours
        try:
            opened = await self.proxyserver.setup_servers()
        finally:
            quiet.disabled = False
        if not opened:
            raise self._why_not()

    def _why_not(self) -> ListenFailed:
        for server in self.proxyserver.servers:
            if isinstance(server.last_exception, OSError):
                option = "server.tls_port" if server.mode == self.exchanges.tls_listener else "server.port"
                host, port = server.mode.listen_host(), server.mode.listen_port() or 0
                return unopened(host, port, server.last_exception, option)
        return ListenFailed(errno.EADDRNOTAVAIL, "A port could not be opened.")

    async def done(self) -> None:
        """The last hooks of every addon."""
        await self.addons.trigger_event(master.hooks.DoneHook())

    def obey_signals(self) -> None:
        """SIGTERM and SIGINT drain; a second one ends at once."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)

    def stop(self) -> None:
        """Begin to drain, or end at once when that has begun."""
        if self._drain is not None:
            self.should_exit.set()
            return
        self._drain = asyncio_utils.create_task(self.drain(), name="drain", keep_ref=True)

    async def drain(self) -> None:
        """Not ready, no new connections, running requests finish up to the limit; then the master ends."""
        limit = self.gateway.settings.server.drain_timeout
        self.exchanges.draining = True
        self.options.update(server=False)
        logger.info("Draining", extra={"in_flight": len(self.exchanges.open), "limit_s": limit})
        ends = time.monotonic() + limit
        while (self.exchanges.open or self._unsent()) and time.monotonic() < ends:
            await asyncio.sleep(_POLL)
        left = len(self.exchanges.open)
        if left:
            logger.warning("The drain limit is over; running requests are cut", extra={"cut": left})
        self.should_exit.set()

    def _unsent(self) -> bool:
        """Whether a client that reads slowly has not yet taken the end of an answer, which is over for the chain."""
        handlers = self.proxyserver.connections.values()
        writers = [io.writer for handler in handlers if (io := handler.transports.get(handler.client)) is not None]
        return any(isinstance(w, asyncio.StreamWriter) and w.transport.get_write_buffer_size() for w in writers)
