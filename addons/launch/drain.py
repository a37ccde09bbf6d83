"""The end of a serving process: no new connections, running answers finish up to the limit, then the master ends."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable

from mitmproxy import http
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.master import Master
from mitmproxy.utils import asyncio_utils

from addons.deadlines import give_up
from addons.exchange import Exchanges
from addons.wire.connection import GatewayConnection
from addons.wire.parting import may_speak
from llmauth.errors import Draining

logger = logging.getLogger(__name__)

_POLL = 0.05
# For the last words to WebSockets: the tick of who says them, the rest of a frame, and the client's answer.
_PARTING = 1.5


class Drain:
    """Ends a master in order: the first stop drains, a second one ends at once. `limit` tells how many seconds."""

    def __init__(
        self, master: Master, proxyserver: Proxyserver, exchanges: Exchanges, limit: Callable[[], float]
    ) -> None:
        self._master = master
        self._proxyserver = proxyserver
        self._exchanges = exchanges
        self._limit = limit
        self._task: asyncio.Task[None] | None = None

    def obey_signals(self) -> None:
        """SIGTERM and SIGINT drain; a second one ends at once."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)

    def stop(self) -> None:
        """Begin to drain, or end at once when that has begun."""
        if self._task is not None:
            self._master.should_exit.set()
            return
        self.begin()

    def begin(self) -> None:
        """Begin to drain; nothing where that has begun."""
        if self._task is None:
            self._task = asyncio_utils.create_task(self.run(), name="drain", keep_ref=True)

    async def run(self) -> None:
        """Not ready, no new connections, running requests finish up to the limit; then the master ends."""
        self._exchanges.draining = True
        self._master.options.update(server=False)
        for handler in self._handlers():
            await handler.drain()
        limit = self._limit()
        logger.info("Draining", extra={"in_flight": len(self._exchanges.open), "limit_s": limit})
        ends = time.monotonic() + limit
        while (self._exchanges.open or self._exchanges.tunnels or self.unsent()) and time.monotonic() < ends:
            await asyncio.sleep(_POLL)
        left = len(self._exchanges.open)
        if left:
            logger.warning("The drain limit is over; running requests are cut", extra={"cut": left})
            await self._part()
        self._master.should_exit.set()

    async def _part(self) -> None:
        """Let WebSockets and the clients of streams be told, where there is a word for it."""
        self._exchanges.parting = True
        told = {flow for flow in self._exchanges.open if self._cut(flow)}
        ends = time.monotonic() + _PARTING
        while (self._exchanges.sockets or told & self._exchanges.open or self.unsent()) and time.monotonic() < ends:
            await asyncio.sleep(_POLL)

    def _cut(self, flow: http.HTTPFlow) -> bool:
        """End a stream that has a last word, and say whether this is one."""
        exchange = self._exchanges.of(flow)
        if exchange is None or (exchange.stream is None and not may_speak(flow)):
            return False
        exchange.cut_for = Draining("This gateway is shutting down.")
        give_up(flow)
        return True

    def unsent(self) -> bool:
        """Whether a client that reads slowly has not yet taken the end of an answer, which is over for the chain."""
        handlers = self._proxyserver.connections.values()
        writers = [io.writer for handler in handlers if (io := handler.transports.get(handler.client)) is not None]
        written = any(isinstance(w, asyncio.StreamWriter) and w.transport.get_write_buffer_size() for w in writers)
        return written or any(handler.unsent() for handler in self._handlers())

    def _handlers(self) -> list[GatewayConnection]:
        return [one for one in self._proxyserver.connections.values() if isinstance(one, GatewayConnection)]
