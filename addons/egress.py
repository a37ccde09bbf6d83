"""Hosts that are no provider: tunnels that nobody reads, plain requests with an entry, and what was asked for."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from mitmproxy import ctx, http
from mitmproxy.connection import Client
from mitmproxy.utils import asyncio_utils

from addons import convert
from addons.exchange import Exchange, Exchanges
from addons.route import check_length
from addons.stage import stage
from addons.wire.tunnel import Tunnel, dig, tunnel_of
from llmauth.context import Authenticated, Carried, RequestContext, advance
from llmauth.errors import GatewayError, Unauthenticated, Unavailable, UpgradeRefused
from llmauth.forwarding import carried
from llmauth.gateway import Gateway
from llmauth.gateway.plan import Plan
from llmauth.http import Door
from llmauth.routers.mode import Passage
from llmauth.storage.learned import LearnedHosts
from llmauth.telemetry.metrics import Observation

logger = logging.getLogger(__name__)

_RETRY = 5


class Egress:
    """Opens what the policy lets through, and closes it again: when its key ends, when it is idle, when we drain."""

    name = "egress"

    def __init__(self, gateway: Gateway, exchanges: Exchanges) -> None:
        self.gateway = gateway
        self.exchanges = exchanges
        self._draining_since: float | None = None

    @stage(RequestContext)
    def http_connect(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """A tunnel for somebody who proved who it is; to be read, it would have to end at us."""
        target = exchange.request.tunnel
        assert target is not None
        rules = exchange.plan.settings.egress
        if exchange.plan.mode.passage(target) is not Passage.TUNNEL:
            return
        if not isinstance(exchange.context, Authenticated):
            raise Unauthenticated("A tunnel to this host needs proxy credentials.")
        if len(self.exchanges.tunnels) >= rules.max_tunnels:
            raise Unavailable(
                f"{rules.max_tunnels} tunnels are open, and no more are carried.",
                detail="egress.max_tunnels",
                retry_after=_RETRY,
            )
        # The normalised name is the one that was judged, and so the one that is dialled.
        flow.request.data.host, flow.request.data.port = target
        exchange.approved, exchange.approved_at = target, time.monotonic()
        context = exchange.context
        tunnel = Tunnel(target=target, identity=context.identity, request_id=context.request_id, flow=flow)
        tunnel.judged_by = exchange.plan
        dig(tunnel)
        self.exchanges.tunnels[flow.client_conn.id] = tunnel

    @stage(Authenticated, only=lambda exchange: exchange.door is Door.ABSOLUTE)
    def requestheaders(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Plain http:// to a place whose entry names its port; everything else is a matter of the routers."""
        destination = exchange.plan.mode.plain(exchange.request)
        if destination is None:
            return
        if "upgrade" in exchange.request.headers:
            raise UpgradeRefused("Protocol upgrades are not carried in plain http://.", hint="Open a tunnel.")
        check_length(exchange.request, exchange.plan.limits)
        # From here on no other addon decides on it, and none puts a credential on it.
        exchange.claimed_by = self
        exchange.context = advance(exchange.context, Carried, destination=destination)

    @stage(Authenticated, only=lambda exchange: isinstance(exchange.context, Carried))
    def request(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """The body is in, and goes on with a head that holds no credential."""
        context = exchange.context
        assert isinstance(context, Carried)
        exchange.request = exchange.request.altered(body=flow.request.raw_content or b"")
        host, port = context.destination
        url = exchange.request.url._replace(host=host, port=port)
        convert.apply(carried(exchange.request.altered(url=url)), flow)
        exchange.approved, exchange.approved_at = context.destination, time.monotonic()

    def http_connected(self, flow: http.HTTPFlow) -> None:
        tunnel = tunnel_of(flow)
        if tunnel is None:
            return
        tunnel.opened = tunnel.moved = time.monotonic()
        self.gateway.metrics.tunnel_opened()
        exchange = self.exchanges.of(flow)
        learned = exchange.plan.learned if exchange is not None else None
        if learned is not None:
            asyncio_utils.create_task(asyncio.to_thread(_learn, learned, tunnel), name="learn", keep_ref=True)

    def http_connect_error(self, flow: http.HTTPFlow) -> None:
        if tunnel_of(flow) is not None:
            self.exchanges.tunnels.pop(flow.client_conn.id, None)

    def client_disconnected(self, client: Client) -> None:
        tunnel = self.exchanges.tunnels.pop(client.id, None)
        if tunnel is not None and tunnel.opened is not None:
            self._report(tunnel, tunnel.opened)

    # ---- what ends a tunnel from our side --------------------------------------------------------------------------

    def look(self, now: float) -> None:
        """End the tunnels that have come to their end; called a few times a second."""
        if self.exchanges.draining and self._draining_since is None:
            self._draining_since = now
        for tunnel in list(self.exchanges.tunnels.values()):
            try:
                why = self._why_over(tunnel, now)
            except Exception:
                logger.exception("A tunnel could not be judged; it was ended")
                why = "key"
            if why:
                tunnel.ended_by = why
                cut(tunnel)

    def _why_over(self, tunnel: Tunnel, now: float) -> str:
        plan = self.gateway.plan
        if not plan.auth.holds(tunnel.identity):
            return "key"
        if not _is_allowed(tunnel, plan):
            return "policy"
        rules = plan.settings.egress
        if now - tunnel.moved > rules.idle_timeout:
            return "idle"
        drained = self._draining_since is not None and now - self._draining_since > rules.drain_timeout
        return "drain" if drained else ""

    # ---- what is told ----------------------------------------------------------------------------------------------

    def _report(self, tunnel: Tunnel, opened: float) -> None:
        seconds = time.monotonic() - opened
        metrics = self.gateway.metrics
        metrics.observe(Observation(method="CONNECT", status=200, seconds=seconds))
        metrics.tunnel_closed(tunnel.ended_by or "client", sent=tunnel.sent, received=tunnel.received)
        facts: dict[str, Any] = {
            "request_id": tunnel.request_id,
            "user": tunnel.identity.user,
            "key_id": tunnel.identity.key_id,
            "sent": tunnel.sent,
            "received": tunnel.received,
            "ms": round(seconds * 1000, 2),
            "ended_by": tunnel.ended_by or "client",
        }
        if self.gateway.plan.egress.names(tunnel.target):
            facts["target"] = str(tunnel.target)
        logger.info("tunnel", extra=facts)


def _is_allowed(tunnel: Tunnel, plan: Plan) -> bool:
    """Whether it would be opened now. A tunnel may be open for days, and is judged again by each new configuration."""
    if tunnel.judged_by is plan:
        return True
    tunnel.judged_by = plan
    try:
        governor = plan.governor
        governor.judge(tunnel.identity, governor.allowance(tunnel.identity), host=tunnel.target.host)
        return plan.mode.passage(tunnel.target) is Passage.TUNNEL
    except GatewayError:
        return False


def _learn(learned: LearnedHosts, tunnel: Tunnel) -> None:
    if learned.add(tunnel.target):
        logger.info("A host was asked for that no entry has", extra={"target": str(tunnel.target)})


def cut(tunnel: Tunnel) -> None:
    """End a tunnel at once, by a reset on both sides: a clean end would look as if all had been said."""
    handler = ctx.master.addons.get("proxyserver").connections.get(tunnel.flow.client_conn.id)
    if handler is None:
        return
    for connection, io in list(handler.transports.items()):
        abort: Callable[[], None] | None = getattr(getattr(io.writer, "transport", None), "abort", None)
        if abort is not None:
            abort()
        if io.handler is not None:
            handler.close_connection(connection)
