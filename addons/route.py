"""Where a request goes: the mode and provider routers at its head, the model router when its body is in."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial

from mitmproxy import http

from addons.apart import LONG, apart
from addons.exchange import Came, Exchange, Exchanges
from addons.judging import counts_money, judge
from addons.stage import stage
from addons.wire.bodies import over_limit
from llmauth.config.limits import Limits
from llmauth.context import (
    Authenticated,
    EnvelopeRoute,
    ProtocolRoute,
    RequestContext,
    Routed,
    TransparentRoute,
    advance,
)
from llmauth.errors import MethodNotAllowed
from llmauth.forwarding import enclosed
from llmauth.http import Request
from llmauth.protocol import Asking, asking
from llmauth.providers.base import ProviderHandler
from llmauth.providers.envelope import Envelope, unpack
from llmauth.providers.named import Call, Named, beside
from llmauth.routers.mode import Passage
from llmauth.routers.model import target_of
from llmauth.telemetry.access import clocked

# Bedrock's own paths at the root of a gateway, where a short name may stand for a model.
_AT_ROOT = "/model/"


class Route:
    """Turns an authenticated request into a routed one."""

    name = "route"

    def __init__(self, exchanges: Exchanges) -> None:
        self.exchanges = exchanges

    @stage(RequestContext)
    def http_connect(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Lets a tunnel in when we end its TLS ourselves; every other target is a matter of the egress policy."""
        target = exchange.request.tunnel
        assert target is not None
        intercepted = exchange.plan.mode.passage(target) is Passage.INTERCEPT
        self.exchanges.peer(flow.client_conn).tunnel = target if intercepted else None

    @stage(Authenticated)
    def requestheaders(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Judged by door, host and path alone, so that a wrong path is refused before its body is sent."""
        assert isinstance(exchange.context, Authenticated)
        check_length(exchange.request, exchange.plan.limits)
        arrived = time.perf_counter()
        route, mode = exchange.plan.mode.route(exchange.request)
        routed = time.perf_counter()
        exchange.route = route
        exchange.decisions = (clocked(mode, arrived),)
        if isinstance(route, EnvelopeRoute) and exchange.request.method != "POST":
            raise MethodNotAllowed(f"{exchange.request.method} is not what an envelope is sent by.", allow=("POST",))
        if isinstance(route, TransparentRoute):
            exchange.handler, provider = exchange.plan.provider.handler(route)
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
            self._choose(exchange, exchange.route, *self._asking(exchange, exchange.route)())
        return None

    def _asking(self, exchange: Exchange, route: ProtocolRoute) -> Callable[[], tuple[Asking, Named | None]]:
        """What must be known of a body, and where rules or a budget ask for that, what else it names."""
        allowance = exchange.allowance
        wanted = allowance is not None and (allowance.needs_model or counts_money(exchange.plan, allowance))
        return partial(_asked, route, exchange.request, wanted=wanted)

    async def _read_apart(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        if isinstance(exchange.route, EnvelopeRoute):
            opened = self._open(flow, exchange, exchange.route, await apart(partial(unpack, exchange.request.body)))
            if opened is not None:
                await opened
        elif isinstance(exchange.route, ProtocolRoute):
            self._choose(exchange, exchange.route, *await apart(self._asking(exchange, exchange.route)))

    def _resolve(self, exchange: Exchange) -> Awaitable[None] | None:
        """In transparent mode a body is read for its model only where the caller's rules, or prices, ask for that."""
        assert isinstance(exchange.route, TransparentRoute)
        assert exchange.handler is not None
        route, handler, request = exchange.route, exchange.handler, exchange.request
        read = exchange.allowance is not None and exchange.allowance.needs_model
        naming = partial(exchange.plan.model.named, route.path, handler, request, read_body=read)
        if not route.native and request.url.path.startswith(_AT_ROOT):
            exchange.asked = _alias(handler, request)
        arrived = time.perf_counter()
        if (read or exchange.plan.model.reads_bodies) and len(request.body) > LONG:
            return self._resolve_apart(exchange, arrived, naming)
        self._take(exchange, arrived, naming())
        return None

    async def _resolve_apart(self, exchange: Exchange, arrived: float, naming: Callable[[], Named | None]) -> None:
        self._take(exchange, arrived, await apart(naming))

    def _take(self, exchange: Exchange, arrived: float, named: Named | None) -> None:
        route, handler = exchange.route, exchange.handler
        assert isinstance(route, TransparentRoute)
        assert handler is not None
        exchange.named = named
        mode, provider = exchange.decisions
        target, decision = exchange.plan.model.resolve(route, handler, named)
        decisions = (mode, clocked(decision, arrived), provider)
        exchange.context = advance(exchange.context, Routed, *decisions, route=route, target=target)
        judge(exchange)

    def _choose(self, exchange: Exchange, route: ProtocolRoute, asked: Asking, named: Named | None) -> None:
        """In protocol mode the body names the model, and the model may name the instance."""
        arrived = time.perf_counter()
        exchange.streams, exchange.asked, exchange.named = asked.stream, asked.model, named
        found, model = exchange.plan.model.choose(route, asked.model)
        chosen = time.perf_counter()
        exchange.handler, provider = exchange.plan.provider.handler(found)
        target = target_of(found, exchange.handler)
        decisions = (*exchange.decisions, clocked(model, arrived), clocked(provider, chosen))
        exchange.context = advance(exchange.context, Routed, *decisions, route=route, target=target)
        judge(exchange)

    def _open(
        self, flow: http.HTTPFlow, exchange: Exchange, route: EnvelopeRoute, call: Envelope
    ) -> Awaitable[None] | None:
        """An envelope becomes the call that it holds, and goes on as one of transparent mode."""
        arrived = time.perf_counter()
        opened = exchange.plan.mode.invoke(call.model, stream=route.stream)
        exchange.handler, provider = exchange.plan.provider.handler(opened)
        exchange.asked = call.model
        exchange.route, exchange.line = opened, None  # the body has chosen it, and no head like this one will again
        exchange.came = Came(exchange.request.headers.fields, len(exchange.request.body), unchanged=False)
        exchange.request = enclosed(exchange.request, call)
        flow.request.data.content = exchange.request.body
        exchange.decisions = (*exchange.decisions, clocked(provider, arrived))
        return self._resolve(exchange)


def _asked(route: ProtocolRoute, request: Request, *, wanted: bool) -> tuple[Asking, Named | None]:
    asked = asking(route, request)
    return asked, beside(request) if wanted else None


def _alias(handler: ProviderHandler, request: Request) -> str | None:
    """The name that a path at the root was written with, which may stand for the provider's own."""
    return handler.named(Call(method=request.method, path=request.url.path)).model


def check_length(request: Request, limits: Limits) -> None:
    """Here and not in screening, since who proved nothing is told that first; a chunked body is judged as it grows."""
    length = request.headers.get("content-length")
    refused = over_limit(limits, int(length), int(length)) if length is not None else None
    if refused is not None:
        raise refused
