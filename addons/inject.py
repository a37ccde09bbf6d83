"""The credential: asked for last, put in last, and taken back when the provider refuses it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from contextlib import suppress
from functools import partial

from mitmproxy import http

from addons import convert
from addons.exchange import Exchange, Exchanges
from addons.stage import fail, stage
from llmauth.context import Credentialed, Decision, Routed, TransparentRoute, advance
from llmauth.credentials.cache import Leased
from llmauth.errors import CredentialRejected, NoCredential
from llmauth.forwarding import outgoing
from llmauth.gateway import Gateway
from llmauth.http import Headers, Request
from llmauth.providers.base import Verdict
from llmauth.reflection import secrets_of
from llmauth.secrets import ApiKey, BearerToken, Credential
from llmauth.telemetry.access import clocked

# The sixth router's record, where the strategy asked it nothing.
NO_VAULT = Decision(router="vault", input="-", outcome="n/a", reason="the strategy reads no vault")
_OF_A_VAULT = "vault ("
_REFUSALS = 400


class Inject:
    """Turns a routed request into a signed one, bound for its provider's own host and port."""

    name = "inject"

    def __init__(self, gateway: Gateway, exchanges: Exchanges) -> None:
        self.gateway = gateway
        self.exchanges = exchanges
        self._kept: dict[str, tuple[Credential, tuple[bytes, ...]]] = {}

    @stage(Routed)
    def request(self, flow: http.HTTPFlow, exchange: Exchange) -> Awaitable[None] | None:
        """From memory where a lease is held; otherwise a thread fetches one and this request waits for it.

        Where to sign takes long, a thread does that as well, and other requests do not wait.
        """
        assert isinstance(exchange.context, Routed)
        asked = time.perf_counter()
        held = exchange.plan.credential.held(exchange.context.target)
        if held is None:
            return self._acquire(flow, exchange)
        leased, decision = held
        return self._inject(flow, exchange, leased, clocked(decision, asked))

    async def _acquire(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        assert isinstance(exchange.context, Routed)
        signing = self._inject(flow, exchange, *await exchange.plan.credential.acquire(exchange.context.target))
        if signing is not None:
            await signing

    def _inject(
        self, flow: http.HTTPFlow, exchange: Exchange, leased: Leased, decision: Decision
    ) -> Awaitable[None] | None:
        assert exchange.handler is not None
        if exchange.handler.is_slow(leased.credential):
            return self._sign_in_a_thread(flow, exchange, leased, decision)
        self._apply(flow, exchange, self._signed(exchange, leased), leased, decision)
        return None

    async def _sign_in_a_thread(
        self, flow: http.HTTPFlow, exchange: Exchange, leased: Leased, decision: Decision
    ) -> None:
        signed = await asyncio.to_thread(self._signed, exchange, leased)
        self._apply(flow, exchange, signed, leased, decision)

    def _signed(self, exchange: Exchange, leased: Leased) -> Request:
        context, handler = exchange.context, exchange.handler
        assert isinstance(context, Routed)
        assert handler is not None
        told = context.request_id if exchange.plan.settings.upstream.request_id else None
        route = context.route if exchange.prepared is None else exchange.prepared.route
        assert isinstance(route, TransparentRoute)
        bare = outgoing(exchange.request, route, handler, told)
        return handler.authorize(bare, leased.credential)

    def _apply(
        self, flow: http.HTTPFlow, exchange: Exchange, signed: Request, leased: Leased, decision: Decision
    ) -> None:
        context = exchange.context
        assert isinstance(context, Routed)
        convert.apply(signed, flow)
        exchange.approved = signed.url.origin
        exchange.approved_at = time.monotonic()
        exchange.leased = leased
        if exchange.prepared is not None and exchange.prepared.beside is not None:
            assert exchange.handler
            exchange.authorize = partial(exchange.handler.authorize, credential=leased.credential)
        exchange.secrets = self._secrets_of(context.target.instance, leased, signed)
        exchange.context = advance(
            context, Credentialed, decision, _of_vault(leased), strategy=leased.strategy, expires_at=leased.expires_at
        )

    def _secrets_of(self, instance: str, leased: Leased, signed: Request) -> tuple[bytes, ...]:
        """What must not come back. A signature is another one each time; a key stays, and so is looked for once."""
        if not isinstance(leased.credential, ApiKey | BearerToken):
            return secrets_of(signed.headers.fields)
        kept = self._kept.get(instance)
        if kept is None or kept[0] is not leased.credential:
            kept = self._kept[instance] = (leased.credential, secrets_of(signed.headers.fields))
        return kept[1]

    @stage(Credentialed)
    async def renew(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """The provider refused the credential before the client heard anything: one that is another is tried, once."""
        exchange.renewed = True
        began, refused = time.monotonic(), exchange.leased
        assert refused is not None
        assert isinstance(exchange.context, Credentialed)
        target = exchange.context.target
        exchange.plan.credential.discard(target.instance, refused.generation)
        with suppress(NoCredential):  # then the refusal stands: a 502, and not the 500 of who never had one
            leased, decision = await exchange.plan.credential.acquire(target)
            if leased.credential == refused.credential:
                return
            bound, first = exchange.approved, exchange.approved_at
            signing = self._inject(flow, exchange, leased, decision)
            if signing is not None:
                await signing
            if exchange.body_in_at is not None and first is not None:
                exchange.body_in_at += began - first  # what the provider took to refuse is no time of ours
            exchange.again = exchange.approved == bound
            if exchange.again:
                exchange.sent_at = None  # it is about to be: a dial that takes too long is one, and no late answer
            self.gateway.metrics.credential_retried(target.instance)

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """The provider refused *our* credential: the client must not read that as its own key being bad."""
        assert flow.response
        if flow.response.status_code < _REFUSALS:
            return
        exchange = self.exchanges.of(flow)
        if exchange is None or exchange.handler is None or exchange.sent_at is None or exchange.error is not None:
            return
        verdict = exchange.handler.verdict(flow.response.status_code, Headers(flow.response.headers.fields))
        exchange.untold = verdict is Verdict.UNTOLD
        if not exchange.untold:
            self._heed(flow, exchange, verdict)

    def response(self, flow: http.HTTPFlow) -> None:
        """The same for what only a body tells: it was held back, unless it is too long to be a refusal."""
        exchange = self.exchanges.of(flow)
        if exchange is None or exchange.handler is None or not exchange.untold or exchange.error is not None:
            return
        response = flow.response
        assert response
        if not response.stream:
            headers, body = Headers(response.headers.fields), response.raw_content or b""
            self._heed(flow, exchange, exchange.handler.verdict_of_body(response.status_code, headers, body))

    def _heed(self, flow: http.HTTPFlow, exchange: Exchange, verdict: Verdict) -> None:
        if verdict is Verdict.PASSES:
            return
        assert flow.response
        fail(flow, exchange, rejected(exchange, verdict, flow.response.status_code))


def _of_vault(leased: Leased) -> Decision:
    if not leased.strategy.startswith(_OF_A_VAULT):
        return NO_VAULT
    backend = leased.strategy.removeprefix(_OF_A_VAULT).rstrip(")")
    return Decision(router="vault", input=leased.source, outcome=backend, reason="read by the strategy of the lease")


def rejected(exchange: Exchange, verdict: Verdict, status: int) -> CredentialRejected:
    """Take back the credential that was refused; on the event loop alone, as all that touches a lease."""
    assert exchange.handler
    instance = exchange.handler.name
    if exchange.leased is not None:
        exchange.plan.credential.discard(instance, exchange.leased.generation)
    message = f"The provider refused the gateway's credential for instance '{instance}'. It is not your key."
    return CredentialRejected(message, detail=f"{verdict.name.lower()}: the provider answered {status}")
