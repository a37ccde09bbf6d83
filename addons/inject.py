"""The credential: asked for last, put in last, and taken back when the provider refuses it."""

from __future__ import annotations

import time
from collections.abc import Awaitable

from mitmproxy import http

from addons import convert
from addons.exchange import Exchange, Exchanges
from addons.stage import fail, stage
from llmauth.context import Credentialed, Decision, Routed, advance
from llmauth.credentials.cache import Leased
from llmauth.errors import CredentialRejected
from llmauth.forwarding import outgoing
from llmauth.gateway import Gateway
from llmauth.http import Headers
from llmauth.providers.base import Verdict
from llmauth.telemetry.access import clocked

# The sixth router's record, for as long as no strategy reads a vault.
NO_VAULT = Decision(router="vault", input="-", outcome="n/a", reason="the strategy reads no vault")
_REFUSALS = 400


class Inject:
    """Turns a routed request into a signed one, bound for its provider's own host and port."""

    name = "inject"

    def __init__(self, gateway: Gateway, exchanges: Exchanges) -> None:
        self.gateway = gateway
        self.exchanges = exchanges
        self._tells_id = gateway.settings.upstream.request_id

    @stage(Routed)
    def request(self, flow: http.HTTPFlow, exchange: Exchange) -> Awaitable[None] | None:
        """From memory where a lease is held; otherwise a thread fetches one and this request waits for it."""
        assert isinstance(exchange.context, Routed)
        asked = time.perf_counter()
        held = self.gateway.credential.held(exchange.context.target)
        if held is None:
            return self._acquire(flow, exchange)
        leased, decision = held
        self._sign(flow, exchange, leased, clocked(decision, asked))
        return None

    async def _acquire(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        assert isinstance(exchange.context, Routed)
        self._sign(flow, exchange, *await self.gateway.credential.acquire(exchange.context.target))

    def _sign(self, flow: http.HTTPFlow, exchange: Exchange, leased: Leased, decision: Decision) -> None:
        context, handler = exchange.context, exchange.handler
        assert isinstance(context, Routed)
        assert handler is not None
        told = context.request_id if self._tells_id else None
        bare = outgoing(exchange.request, context.route, handler, told)
        signed = handler.authorize(bare, leased.credential)
        convert.apply(signed, flow)
        exchange.approved = signed.url.origin
        exchange.approved_at = time.monotonic()
        exchange.generation = leased.generation
        exchange.context = advance(
            context, Credentialed, decision, NO_VAULT, strategy=leased.strategy, expires_at=leased.expires_at
        )

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """The provider refused *our* credential: the client must not read that as its own key being bad."""
        exchange = self.exchanges.of(flow)
        if exchange is None or exchange.handler is None or exchange.sent_at is None or exchange.error is not None:
            return
        assert flow.response
        if flow.response.status_code < _REFUSALS:
            return
        verdict = exchange.handler.verdict(flow.response.status_code, Headers(flow.response.headers.fields))
        if verdict is Verdict.PASSES:
            return
        instance = exchange.handler.name
        self.gateway.credential.discard(instance, exchange.generation)
        message = f"The provider refused the gateway's credential for instance '{instance}'. It is not your key."
        detail = f"{verdict.name.lower()}: the provider answered {flow.response.status_code}"
        fail(flow, exchange, CredentialRejected(message, detail=detail))
