"""Protocol mode on the way there: passed where the provider speaks the client's protocol, translated elsewhere."""

from __future__ import annotations

import time
from collections.abc import Awaitable
from functools import partial

from mitmproxy import http

from addons import convert
from addons.apart import LONG, apart
from addons.exchange import Came, Exchange, Exchanges
from addons.stage import stage
from llmauth.context import ProtocolRoute, Routed
from llmauth.gateway import Gateway
from llmauth.http import Request, Response
from llmauth.protocol import Preparation, Prepared, answered, prepare


def _is_ours(exchange: Exchange) -> bool:
    return isinstance(exchange.route, ProtocolRoute)


class Translate:
    """Stands between the routers and the credential: what is signed is what is sent."""

    name = "translate"

    def __init__(self, gateway: Gateway, exchanges: Exchanges) -> None:
        self.gateway = gateway
        self.exchanges = exchanges

    @stage(Routed, only=_is_ours)
    def request(self, flow: http.HTTPFlow, exchange: Exchange) -> Awaitable[None] | None:
        """The body is in, and its target known. A long one is made ready in a thread."""
        context = exchange.context
        assert isinstance(context, Routed)
        assert isinstance(context.route, ProtocolRoute)
        assert exchange.handler is not None
        preparation = Preparation(
            route=context.route,
            target=context.target,
            handler=exchange.handler,
            stream=exchange.streams,
            id=_plain(context.request_id),
            created=int(context.received_at),
            owner=context.identity.user,
            transformation=exchange.plan.transformations.get(context.target.instance),
            thoughts=self.gateway.thoughts,
        )
        if len(exchange.request.body) > LONG:
            return _make_ready_apart(flow, exchange, preparation)
        _take(flow, exchange, _ready(exchange.request, preparation))
        return None


async def _make_ready_apart(flow: http.HTTPFlow, exchange: Exchange, by: Preparation) -> None:
    _take(flow, exchange, await apart(partial(_ready, exchange.request, by)))


def _ready(request: Request, by: Preparation) -> Response | Prepared:
    """An answer of ours, or what is to be sent; it changes nothing, and may be asked for in a thread."""
    ours = answered(request, by)
    return prepare(request, by) if ours is None else ours


def _take(flow: http.HTTPFlow, exchange: Exchange, ready: Response | Prepared) -> None:
    if isinstance(ready, Response):
        convert.answer(flow, ready)
        return
    exchange.prepared = ready
    before, exchange.request = exchange.request, ready.request
    exchange.came = Came(before.headers.fields, len(before.body), before.body == ready.request.body)
    flow.request.data.content = ready.request.body


def _plain(request_id: str) -> str:
    """The id of an answer is made of its request's, so that both lead to one line of the log."""
    return "".join(c for c in request_id.removeprefix("req_") if c.isalnum())[:64] or f"{time.time_ns():x}"
