"""Where a request goes: the mode and provider routers at its head, the model router when its body is in."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial

from mitmproxy import http

from addons.apart import LONG, apart
from addons.exchange import Exchange, Exchanges
from addons.stage import stage
from addons.wire.bodies import over_limit
from llmauth.config.limits import Limits
from llmauth.context import (
    Authenticated,
    Decision,
    EnvelopeRoute,
    ProtocolRoute,
    RequestContext,
    Routed,
    Target,
    TransparentRoute,
    advance,
)
from llmauth.errors import MethodNotAllowed
from llmauth.forwarding import enclosed
from llmauth.gateway import Gateway
from llmauth.http import Request
from llmauth.protocol import Asking, asking
from llmauth.providers.envelope import Envelope, unpack
from llmauth.routers.mode import Passage
from llmauth.routers.model import target_of
from llmauth.telemetry.access import clocked


class Route:
    """Turns an authenticated request into a routed one."""

    name = "route"

    def __init__(self, gateway: Gateway, exchanges: Exchanges) -> None:
        self.gateway = gateway
        self.exchanges = exchanges

    @stage(RequestContext)
    def http_connect(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Lets a tunnel in when we end its TLS ourselves; every other target is a matter of the egress policy."""
        target = exchange.request.tunnel
        assert target is not None
        intercepted = self.gateway.mode.passage(target) is Passage.INTERCEPT
        self.exchanges.peer(flow.client_conn).tunnel = target if intercepted else None

    @stage(Authenticated)
    def requestheaders(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Judged by door, host and path alone, so that a wrong path is refused before its body is sent."""
        assert isinstance(exchange.context, Authenticated)
        check_length(exchange.request, self.gateway.settings.limits)
        arrived = time.perf_counter()
        route, mode = self.gateway.mode.route(exchange.request)
        routed = time.perf_counter()
        exchange.route = route
        exchange.decisions = (clocked(mode, arrived),)
        if isinstance(route, EnvelopeRoute) and exchange.request.method != "POST":
            raise MethodNotAllowed(f"{exchange.request.method} is not what an envelope is sent by.", allow=("POST",))
        if isinstance(route, TransparentRoute):
            exchange.handler, provider = self.gateway.provider.handler(route)
            exchange.decisions = (*exchange.decisions, clocked(provider, routed))
        exchange.head_took = time.monotonic() - exchange.context.started

    @stage(Authenticated)
    def request(self, flow: http.HTTPFlow, exchange: Exchange) -> Awaitable[None] | None:
        """The body is in: the model it names decides the target. A long one is read in a thread."""
        exchange.body_in_at = time.monotonic()
        body = flow.request.raw_content or b""
        exchange.request = exchange.request.altered(body=body)
        if isinstance(exchange.route, TransparentRoute):
            return self._resolve(exchange)
        if len(body) > LONG:
            return self._read_apart(flow, exchange)
        if isinstance(exchange.route, EnvelopeRoute):
            return self._open(flow, exchange, exchange.route, unpack(body))
        if isinstance(exchange.route, ProtocolRoute):
            self._choose(exchange, exchange.route, asking(exchange.route, exchange.request))
        return None

    async def _read_apart(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        if isinstance(exchange.route, EnvelopeRoute):
            opened = self._open(flow, exchange, exchange.route, await apart(partial(unpack, exchange.request.body)))
            if opened is not None:
                await opened
        elif isinstance(exchange.route, ProtocolRoute):
            self._choose(exchange, exchange.route, await apart(partial(asking, exchange.route, exchange.request)))

    def _resolve(self, exchange: Exchange) -> Awaitable[None] | None:
        """In transparent mode a body is read for its model only where the caller's rules, or prices, ask for that."""
        assert isinstance(exchange.route, TransparentRoute)
        assert exchange.handler is not None
        asked_for = exchange.allowance is not None and exchange.allowance.needs_model
        read = (asked_for or self.gateway.model.reads_bodies) and exchange.handler.model_in_body
        resolving = partial(
            self.gateway.model.resolve, exchange.route, exchange.handler, exchange.request, read_body=read
        )
        if read and len(exchange.request.body) > LONG:
            return self._resolve_apart(exchange, resolving)
        arrived = time.perf_counter()
        self._take(exchange, arrived, *resolving())
        return None

    async def _resolve_apart(self, exchange: Exchange, resolving: Callable[[], tuple[Target, Decision]]) -> None:
        arrived = time.perf_counter()
        self._take(exchange, arrived, *await apart(resolving))

    def _take(self, exchange: Exchange, arrived: float, target: Target, decision: Decision) -> None:
        mode, provider = exchange.decisions
        decisions = (mode, clocked(decision, arrived), provider)
        exchange.context = advance(exchange.context, Routed, *decisions, route=exchange.route, target=target)

    def _choose(self, exchange: Exchange, route: ProtocolRoute, asked: Asking) -> None:
        """In protocol mode the body names the model, and the model may name the instance."""
        arrived = time.perf_counter()
        exchange.streams, exchange.asked = asked.stream, asked.model
        found, model = self.gateway.model.choose(route, asked.model)
        chosen = time.perf_counter()
        exchange.handler, provider = self.gateway.provider.handler(found)
        target = target_of(found, exchange.handler)
        decisions = (*exchange.decisions, clocked(model, arrived), clocked(provider, chosen))
        exchange.context = advance(exchange.context, Routed, *decisions, route=route, target=target)

    def _open(
        self, flow: http.HTTPFlow, exchange: Exchange, route: EnvelopeRoute, call: Envelope
    ) -> Awaitable[None] | None:
        """An envelope becomes the call that it holds, and goes on as one of transparent mode."""
        arrived = time.perf_counter()
        opened = self.gateway.mode.invoke(call.model, stream=route.stream)
        exchange.handler, provider = self.gateway.provider.handler(opened)
        exchange.route, exchange.line = opened, None  # the body has chosen it, and no head like this one will again
        exchange.request = enclosed(exchange.request, call)
        flow.request.data.content = exchange.request.body
        exchange.decisions = (*exchange.decisions, clocked(provider, arrived))
        return self._resolve(exchange)


def check_length(request: Request, limits: Limits) -> None:
    """Here and not in screening, since who proved nothing is told that first; a chunked body is judged as it grows."""
    length = request.headers.get("content-length")
    refused = over_limit(limits, int(length), int(length)) if length is not None else None
    if refused is not None:
        raise refused
