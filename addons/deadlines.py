"""Time limits towards the provider: to connect, and to begin to answer. One clock for all requests, none for each."""

from __future__ import annotations

import asyncio
import logging
import time

from mitmproxy import ctx, http
from mitmproxy.utils import asyncio_utils

from addons.exchange import Exchange, Exchanges

logger = logging.getLogger(__name__)

_TICK = 0.25


class Deadlines:
    """Every quarter of a second, gives up the upstream connections whose time is over."""

    name = "deadlines"

    def __init__(self, exchanges: Exchanges, connect: float, first_byte: float) -> None:
        self.exchanges = exchanges
        self._connect = connect
        self._first_byte = first_byte
        self._task: asyncio.Task[None] | None = None

    def running(self) -> None:
        self._task = asyncio_utils.create_task(self._watch(), name="deadlines", keep_ref=True)

    def done(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            try:
                self._look(time.monotonic())
            except Exception:
                # Without this task nobody would ever be given up; the next round is a quarter of a second away.
                logger.exception("The deadlines could not be checked")

    def _look(self, now: float) -> None:
        self.exchanges.prune()
        for flow in list(self.exchanges.open):
            exchange = self.exchanges.of(flow)
            if exchange is not None and self._over(exchange, now):
                exchange.timed_out = True
                give_up(flow)

    def _over(self, exchange: Exchange, now: float) -> bool:
        if exchange.timed_out or exchange.first_byte_at is not None or exchange.approved is None:
            return False
        if exchange.sent_at is not None:
            return now - exchange.sent_at > self._first_byte
        return exchange.approved_at is not None and now - exchange.approved_at > self._connect


def give_up(flow: http.HTTPFlow) -> None:
    """Close the upstream connection of a flow, dialling, in its handshake or open; its stream answers the client."""
    handler = ctx.master.addons.get("proxyserver").connections.get(flow.client_conn.id)
    if handler is None:
        return
    for connection in list(handler.transports):
        # Before it is open a flow does not know its connection, and an HTTP/1 client has one request at a time.
        if connection is flow.server_conn or (connection is not handler.client and not connection.tls_established):
            handler.close_connection(connection)
