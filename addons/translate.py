"""Protocol mode on the way there: passed where the provider speaks the client's protocol, translated elsewhere."""

from __future__ import annotations

import time

from mitmproxy import http

from addons import convert
from addons.exchange import Exchange, Exchanges
from addons.stage import stage
from llmauth.context import ProtocolRoute, Routed
from llmauth.gateway import Gateway
from llmauth.protocol import Preparation, answered, prepare


def _is_ours(exchange: Exchange) -> bool:
    return isinstance(exchange.route, ProtocolRoute)


class Translate:
    """Stands between the routers and the credential: what is signed is what is sent."""

    name = "translate"

    def __init__(self, gateway: Gateway, exchanges: Exchanges) -> None:
        self.gateway = gateway
        self.exchanges = exchanges

    @stage(Routed, only=_is_ours)
    def request(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """The body is in, and its target known."""
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
            transformation=self.gateway.transformations.get(context.target.instance),
            thoughts=self.gateway.thoughts,
        )
        ours = answered(exchange.request, preparation)
        if ours is not None:
            convert.answer(flow, ours)
            return
        exchange.prepared = prepare(exchange.request, preparation)
        exchange.request = exchange.prepared.request
        flow.request.data.content = exchange.request.body


def _plain(request_id: str) -> str:
    """The id of an answer is made of its request's, so that both lead to one line of the log."""
    return "".join(c for c in request_id.removeprefix("req_") if c.isalnum())[:64] or f"{time.time_ns():x}"
