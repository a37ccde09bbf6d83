"""Time limits of every exchange, on both its sides, and the clock by which connections are watched: one for all."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from mitmproxy import ctx, http
from mitmproxy.connection import Connection
from mitmproxy.utils import asyncio_utils

from addons.exchange import Exchange, Exchanges
from addons.wire.reading import SteadyConnection
from addons.wire.signals import Overdue
from llmauth.errors import UpstreamTimeout
from llmauth.http import Door

logger = logging.getLogger(__name__)

_TICK = 0.25


Look = Callable[[float], None]


def _nobody(_: object) -> None:
    """Stands for who would be told."""


class Deadlines:
    """Every quarter of a second, ends what takes too long. Nothing is set up for a single request.

    `tell` learns the name of each limit that was reached, `dropped` each flow that is over and was not told of; `also`
    are called with the time at each tick.
    """

    name = "deadlines"

    def __init__(
        self,
        exchanges: Exchanges,
        *,
        tell: Callable[[str], None] = _nobody,
        dropped: Callable[[http.HTTPFlow], None] = _nobody,
        also: Sequence[Look] = (),
    ) -> None:
        self.exchanges = exchanges
        self._tell = tell
        self._dropped = dropped
        self._looks = (self._look, *also)
        self._task: asyncio.Task[None] | None = None

    def running(self) -> None:
        self._task = asyncio_utils.create_task(self._watch(), name="deadlines", keep_ref=True)

    def done(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            for look in self._looks:
                try:
                    look(time.monotonic())
                except Exception:
                    # Without this task nobody would ever be given up; the next round is a quarter of a second away.
                    logger.exception("The deadlines could not be checked")

    def _look(self, now: float) -> None:
        for flow in self.exchanges.prune(now):
            self._dropped(flow)
        for flow in list(self.exchanges.open):
            exchange = self.exchanges.of(flow)
            limit = self._reached(flow, exchange, now) if exchange is not None else None
            if exchange is None or limit is None:
                continue
            exchange.limit = limit
            self._tell(limit)
            if _awaits_body(flow, exchange):
                stop(flow)
            else:
                exchange.timed_out = True
                exchange.cut_for = UpstreamTimeout("The provider's answer took too long.", detail=limit)
                give_up(flow)

    def _reached(self, flow: http.HTTPFlow, exchange: Exchange, now: float) -> str | None:
        """The name of the limit that this exchange has reached."""
        if exchange.timed_out or exchange.limit is not None or flow in self.exchanges.sockets:
            return None
        if _awaits_body(flow, exchange):
            return self._body(flow, exchange, now)
        if exchange.approved is None:
            return None  # still judged: the chain has time limits of its own
        total = exchange.plan.limits.exchange_timeout
        if total is not None and now - exchange.context.started > total:
            return "exchange_timeout"
        return self._answer(flow, exchange, now)

    def _body(self, flow: http.HTTPFlow, exchange: Exchange, now: float) -> str | None:
        limits = exchange.plan.limits
        if now - exchange.context.started > limits.body_timeout:
            return "body_timeout"
        silent = _silent(flow, exchange, flow.client_conn, exchange.context.started, now)
        return "body_silence" if silent > limits.body_silence else None

    def _answer(self, flow: http.HTTPFlow, exchange: Exchange, now: float) -> str | None:
        if exchange.first_byte_at is not None:
            silent = _silent(flow, exchange, flow.server_conn, exchange.first_byte_at, now)
            return "answer_silence" if silent > exchange.plan.limits.answer_silence else None
        upstream = exchange.plan.settings.upstream
        if exchange.sent_at is not None:
            return "first_byte_timeout" if now - exchange.sent_at > upstream.first_byte_timeout else None
        waits = exchange.approved_at is not None and now - exchange.approved_at > upstream.connect_timeout
        return "connect_timeout" if waits else None


def _awaits_body(flow: http.HTTPFlow, exchange: Exchange) -> bool:
    """Whether the rest of a request is awaited that was let in at its head."""
    return flow.request.timestamp_end is None and flow.response is None and exchange.door is not Door.CONNECT


def _silent(flow: http.HTTPFlow, exchange: Exchange, side: Connection, since: float, now: float) -> float:
    """For how long nothing came from this side; that it was not read, because of the other, does not count."""
    handler = _connection_of(flow)
    meter = handler.meters.get(side) if handler is not None else None
    if meter is not None and (meter.held_back or meter.received != exchange.heard):
        exchange.heard, exchange.heard_at = meter.received, now
    return now - max(since, exchange.heard_at)


def _connection_of(flow: http.HTTPFlow) -> SteadyConnection | None:
    handler = ctx.master.addons.get("proxyserver").connections.get(flow.client_conn.id)
    return handler if isinstance(handler, SteadyConnection) else None


def stop(flow: http.HTTPFlow) -> None:
    """Let a flow's stream answer a client whose body does not come to its end."""
    handler = _connection_of(flow)
    if handler is not None:
        asyncio_utils.create_task(handler.server_event(Overdue(flow)), name="overdue", keep_ref=True)


def give_up(flow: http.HTTPFlow) -> None:
    """Close the upstream connection of a flow, dialling, in its handshake or open; its stream answers the client."""
    handler = ctx.master.addons.get("proxyserver").connections.get(flow.client_conn.id)
    if handler is None:
        return
    alone = flow.client_conn.alpn != b"h2"
    for connection in list(handler.transports):
        # A client of HTTP/1 has one request at a time, so that whatever is not open yet is this one's.
        dialling = alone and connection is not handler.client and not connection.tls_established
        if connection is flow.server_conn or dialling:
            handler.close_connection(connection)
