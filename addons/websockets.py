"""WebSockets: opened where the instance has them, watched while they live, and closed when their caller may no more."""

from __future__ import annotations

import asyncio
import logging
import select
from collections.abc import Callable

from mitmproxy import ctx, http
from mitmproxy.connection import Connection
from mitmproxy.utils import asyncio_utils

from addons.exchange import DEFAULT_LIMITS, Exchange, Exchanges
from addons.stage import fail, stage
from addons.wire.reading import SteadyConnection
from addons.wire.websocket import Cut, End, Order, Ping, SocketOrder, Traffic, let_in, traffic_of
from llmauth.context import Authenticated
from llmauth.errors import Forbidden, GatewayError, Unauthenticated, UpgradeRefused
from llmauth.gateway import Gateway
from llmauth.websocket.frames import Code
from llmauth.websocket.handshake import SWITCHING, is_asked

logger = logging.getLogger(__name__)

_PROBE = 0.75
# That a peer has left is told beside what it sent before, and unread bytes do not hide it; Linux alone tells so.
_LEFT = getattr(select, "POLLRDHUP", 0)


def _nobody(_: object) -> None:
    """Stands for who would be told."""


class WebSockets:
    """Asks of each open socket, every time that it looks, whether its caller is still let in, and whether it lives.

    A side that was silent for half of the limit is sent a Ping, which it must answer; then it has the other half.
    `tell` learns the name of each limit that was reached.
    """

    name = "websockets"

    def __init__(
        self,
        gateway: Gateway,
        exchanges: Exchanges,
        *,
        tell: Callable[[str], None] = _nobody,
    ) -> None:
        self.gateway = gateway
        self.exchanges = exchanges
        self._tell = tell

    @stage(Authenticated, only=lambda exchange: b"upgrade" in exchange.request.headers.index())
    def requestheaders(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Before a provider is asked: a client that is told so at once goes on with plain HTTP."""
        if not is_asked(exchange.request.headers):
            return
        handler = exchange.handler
        if handler is None:  # the body tells who would answer, and a handshake has none
            raise UpgradeRefused("Protocol mode takes no WebSocket.", hint="Use plain HTTP requests.")
        if not (handler.websocket and flow.request.is_http11):
            raise UpgradeRefused(f"Instance '{handler.name}' takes no WebSocket.", hint="Use plain HTTP requests.")

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """The provider may take its time: who was let in when it asked, and is not any more, gets no socket."""
        exchange = self._opening(flow)
        if exchange is not None:
            try:
                self._check(flow, exchange)
            except GatewayError as error:
                fail(flow, exchange, error)

    def response(self, flow: http.HTTPFlow) -> None:
        if self._opening(flow) is not None:
            self.exchanges.sockets.add(flow)
            let_in(flow)

    def _opening(self, flow: http.HTTPFlow) -> Exchange | None:
        """The exchange of a flow whose answer is a 101 that nobody has put a refusal in the place of."""
        if flow.response is None or flow.response.status_code != SWITCHING:
            return None
        exchange = self.exchanges.of(flow)
        return exchange if exchange is not None and exchange.error is None else None

    def socket_closed(self, flow: http.HTTPFlow) -> None:
        self.exchanges.sockets.discard(flow)

    def look(self, now: float) -> None:
        """End each open socket whose caller is not let in any more, or that is dead; called a few times a second."""
        for flow in list(self.exchanges.sockets):
            try:
                self._look(flow, now)
            except Exception:
                # A socket that cannot be judged is not kept, and is no reason to leave the others alone.
                logger.exception("A WebSocket could not be judged; it was closed")
                self._order(flow, End(Code.TRY_AGAIN_LATER, "the gateway failed"))

    def _look(self, flow: http.HTTPFlow, now: float) -> None:
        traffic, handler = traffic_of(flow), _connection_of(flow)
        if flow.client_conn.timestamp_end is not None:
            self.exchanges.sockets.discard(flow)
        elif traffic is not None and handler is not None and not traffic.ended:
            end = self._why_not(flow) or _gone(handler) or self._overdue(flow, handler, traffic, now)
            if end is not None:
                traffic.ended = True
                self._order(flow, end)
            else:
                self._ping(flow, handler, traffic, now)

    def _why_not(self, flow: http.HTTPFlow) -> End | None:
        """Why this socket may not go on: the gateway stops, or who opened it is not let in any more."""
        if self.exchanges.parting:
            return End(Code.GOING_AWAY, "the gateway is shutting down")
        exchange = self.exchanges.of(flow)
        assert exchange is not None
        try:
            self._check(flow, exchange)
        except (Unauthenticated, Forbidden):
            return End(Code.POLICY_VIOLATION, "the key is no longer valid")
        except GatewayError:
            return End(Code.TRY_AGAIN_LATER, "keys cannot be checked")
        return None

    def _check(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Raises what the auth router says of a caller, or of a tunnel's, that is not let in any more."""
        assert isinstance(exchange.context, Authenticated)
        auth = self.gateway.plan.auth
        auth.current(exchange.context.identity)
        tunnel = self.exchanges.peer(flow.client_conn).identity
        if tunnel is not None:
            auth.current(tunnel)

    def _overdue(self, flow: http.HTTPFlow, handler: SteadyConnection, traffic: Traffic, now: float) -> End | None:
        exchange = self.exchanges.of(flow)
        assert exchange is not None
        limits = exchange.plan.limits
        total = limits.exchange_timeout
        if total is not None and now - exchange.context.started > total:
            return self._reached("exchange_timeout", End(Code.GOING_AWAY, "the time for one socket is over"))
        _forgive(handler, flow, traffic, now)
        if now - traffic.client_heard > limits.answer_silence:
            return self._reached("answer_silence", End(Code.GOING_AWAY, "nothing was heard from you for too long"))
        if now - traffic.server_heard > limits.answer_silence:
            why = "nothing was heard from the provider for too long"
            return self._reached("answer_silence", End(Code.BAD_GATEWAY, why))
        return None

    def _reached(self, limit: str, end: End) -> End:
        self._tell(limit)
        return end

    def _ping(self, flow: http.HTTPFlow, handler: SteadyConnection, traffic: Traffic, now: float) -> None:
        if _is_held(handler, flow.client_conn) and now - traffic.client_asked > _PROBE:
            # That it left waits behind all that it sent before; but who is gone answers a packet with a reset.
            self._order(flow, Ping(client=True))
            return
        exchange = self.exchanges.of(flow)
        silence = DEFAULT_LIMITS.answer_silence if exchange is None else exchange.plan.limits.answer_silence
        for client, heard in ((True, traffic.client_heard), (False, traffic.server_heard)):
            asked = traffic.client_asked if client else traffic.server_asked
            if now - heard > silence / 2 and asked < heard:
                self._order(flow, Ping(client))

    def _order(self, flow: http.HTTPFlow, order: Order) -> None:
        handler = _connection_of(flow)
        if handler is not None:
            task = handler.server_event(SocketOrder(flow, order))
            asyncio_utils.create_task(task, name="socket order", keep_ref=True)


def _connection_of(flow: http.HTTPFlow) -> SteadyConnection | None:
    handler = ctx.master.addons.get("proxyserver").connections.get(flow.client_conn.id)
    return handler if isinstance(handler, SteadyConnection) else None


def _forgive(handler: SteadyConnection, flow: http.HTTPFlow, traffic: Traffic, now: float) -> None:
    """That a side is not read, because the other does not take what it sends, is no silence of its own."""
    client_held, server_held = _is_held(handler, flow.client_conn), _is_held(handler, flow.server_conn)
    if client_held and not server_held:
        traffic.client_heard = now
    elif server_held and not client_held:
        traffic.server_heard = now


def _is_held(handler: SteadyConnection, side: Connection) -> bool:
    meter = handler.meters.get(side)
    return meter is not None and meter.held_back


def _gone(handler: SteadyConnection) -> Cut | None:
    """Whether the client left while it is not read, since its provider takes nothing: no read will tell us."""
    io = handler.transports.get(handler.client)
    if io is None or not isinstance(io.writer, asyncio.StreamWriter) or not _is_held(handler, handler.client):
        return None
    sock = io.writer.get_extra_info("socket")
    if sock is None or sock.fileno() < 0:
        return None
    poll = select.poll()
    poll.register(sock.fileno(), _LEFT)
    return Cut() if poll.poll(0) else None
