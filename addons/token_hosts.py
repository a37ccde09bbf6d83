"""The hosts at which SDKs ask their vendor for a token first: answered by us, with a placeholder; never forwarded."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from mitmproxy import http

from addons import convert
from addons.exchange import Exchange, Exchanges
from addons.stage import stage
from llmauth.authenticators.base import Presented
from llmauth.context import Authenticated, RequestContext, advance
from llmauth.errors import BadRequest, BodyTooLarge
from llmauth.gateway import Gateway
from llmauth.http import Door, Request
from llmauth.routers.auth import Answer, Pending
from llmauth.telemetry.logs import about
from llmauth.token_hosts.base import LONGEST, TokenHost, body_length, key_may_follow, keys_in

logger = logging.getLogger(__name__)

Next = Callable[[Answer], None]


def in_tunnel(exchange: Exchange) -> bool:
    """Whether it came through a tunnel whose TLS we end: there is no other door to a token host."""
    return exchange.door is Door.TUNNEL


class TokenHosts:
    """Claims every request in a tunnel to such a host, so that no other addon can send it on.

    Who calls is judged at the head, as for every request. Only where tunnel and head prove nothing, and the vendor's
    SDK may have put a key of ours into a short form of announced length, the form is read first and judged then.
    """

    name = "token_hosts"

    def __init__(self, gateway: Gateway, exchanges: Exchanges) -> None:
        self.gateway = gateway
        self.exchanges = exchanges

    @stage(RequestContext, only=in_tunnel)
    def requestheaders(self, flow: http.HTTPFlow, exchange: Exchange) -> Awaitable[None] | None:
        host = self._host(exchange)
        if host is None:
            return None
        exchange.claimed_by = self
        request, auth = exchange.request, exchange.plan.auth
        tunnel = self.exchanges.peer(flow.client_conn).identity
        if tunnel is None and key_may_follow(host, request) and not auth.shows(request):
            return None
        return self._judge(flow, exchange, (), None, lambda answer: _check_length(request))

    @stage(RequestContext, only=in_tunnel)
    def request(self, flow: http.HTTPFlow, exchange: Exchange) -> Awaitable[None] | None:
        """The body is in: what stands in it is judged beside tunnel and head, and then the exchange is answered."""
        host = self._host(exchange)
        if host is None:
            return None
        body = flow.request.raw_content or b""
        exchange.request = exchange.request.altered(body=body)
        form = keys_in(host, exchange.request)
        return self._judge(flow, exchange, form, body, lambda answer: self._answer(flow, exchange, host, answer))

    def _host(self, exchange: Exchange) -> TokenHost | None:
        tunnel = exchange.request.tunnel
        return exchange.plan.token_hosts.get(tunnel) if tunnel is not None else None

    def _judge(
        self, flow: http.HTTPFlow, exchange: Exchange, form: tuple[Presented, ...], body: bytes | None, go_on: Next
    ) -> Awaitable[None] | None:
        tunnel = self.exchanges.peer(flow.client_conn).identity
        with about(exchange.context.request_id):
            verdict = exchange.plan.auth.recall(exchange.request, tunnel=tunnel, form=form, body=body)
        if isinstance(verdict, Pending):
            return self._prove(exchange, verdict, go_on)
        go_on(verdict)
        return None

    async def _prove(self, exchange: Exchange, pending: Pending, go_on: Next) -> None:
        go_on(await exchange.plan.auth.authenticate(pending))

    def _answer(self, flow: http.HTTPFlow, exchange: Exchange, host: TokenHost, answer: Answer) -> None:
        identity, decision = answer
        assert identity is not None
        exchange.context = advance(exchange.context, Authenticated, decision, identity=identity)
        convert.answer(flow, host.answer(exchange.request, identity, self.gateway.tokens))
        logger.info(
            "A token host was answered for",
            extra={
                "request_id": exchange.context.request_id,
                "host": exchange.request.url.host,
                "user": identity.user,
                "key_id": identity.key_id,
            },
        )


def _check_length(request: Request) -> None:
    length = body_length(request)
    if length is None:
        raise BadRequest("An exchange of tokens needs a Content-Length.", close=True)
    if length > LONGEST:
        raise BodyTooLarge(f"The request body is over the limit of {LONGEST // 1024} KiB for this host.", close=True)
