"""Who is calling: asks the auth router, and remembers what a CONNECT proved for its tunnel alone."""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial

from mitmproxy import http

from addons.apart import LONG, apart
from addons.exchange import Exchange, Exchanges
from addons.stage import stage
from llmauth.authenticators.pairs import METHOD as SIGNED
from llmauth.authenticators.sigv4 import Promise
from llmauth.context import Authenticated, Identity, RequestContext, advance
from llmauth.errors import Unauthenticated
from llmauth.http import Door
from llmauth.routers.auth import Answer, Pending
from llmauth.telemetry.logs import about


class Authenticate:
    """Turns an arrived request into an authenticated one, or refuses it before its body is read."""

    name = "authenticate"

    def __init__(self, exchanges: Exchanges) -> None:
        self.exchanges = exchanges

    @stage(RequestContext)
    def http_connect(self, flow: http.HTTPFlow, exchange: Exchange) -> Awaitable[None] | None:
        """A wrong proxy credential is refused whatever the target; none at all is let in where nothing is dialled."""
        # After a refused CONNECT the connection goes on, and another client of a proxy before us may be the next on it.
        self.exchanges.peer(flow.client_conn).identity = None
        return self._judge(flow, exchange, tunnel=None)

    @stage(RequestContext)
    def requestheaders(self, flow: http.HTTPFlow, exchange: Exchange) -> Awaitable[None] | None:
        """Each request proves itself, or stands on its tunnel's proof, which is checked again here."""
        inside = exchange.door is Door.TUNNEL
        return self._judge(flow, exchange, self.exchanges.peer(flow.client_conn).identity if inside else None)

    @stage(Authenticated)
    def request(self, flow: http.HTTPFlow, exchange: Exchange) -> Awaitable[None] | None:
        """The body is in, and a signature is held against it. A long one is hashed in a thread."""
        promise = exchange.promise
        if promise is None:
            return None
        body = flow.request.raw_content or b""
        exchange.promise = None
        if len(body) > LONG:
            return self._hold(exchange, promise, apart(partial(promise.kept, body)))
        exchange.plan.auth.require_kept(promise, promise.kept(body))
        return None

    async def _hold(self, exchange: Exchange, promise: Promise, judging: Awaitable[Unauthenticated | None]) -> None:
        exchange.plan.auth.require_kept(promise, await judging)

    def _judge(self, flow: http.HTTPFlow, exchange: Exchange, tunnel: Identity | None) -> Awaitable[None] | None:
        request, auth = exchange.request, exchange.plan.auth
        peer = self.exchanges.peer(flow.client_conn)
        proof = peer.proof if peer.plan is exchange.plan else None
        answer = auth.again(proof, request, tunnel) if proof is not None else None
        if answer is None:
            with about(exchange.context.request_id):
                verdict = auth.recall(
                    request,
                    tunnel=tunnel,
                    intercepted=request.door is Door.CONNECT and exchange.plan.mode.intercepts(request.url.origin),
                    gateway=request.door is Door.ABSOLUTE and exchange.plan.is_gateway_host(request.url.host),
                    body=None if _has_body(flow) else b"",
                )
            if isinstance(verdict, Pending):
                return self._prove(flow, exchange, verdict)
            answer = verdict
        else:
            exchange.proved_before = True
        self._accept(flow, exchange, tunnel, answer)
        return None

    async def _prove(self, flow: http.HTTPFlow, exchange: Exchange, pending: Pending) -> None:
        self._accept(flow, exchange, pending.tunnel, await exchange.plan.auth.authenticate(pending))

    def _accept(self, flow: http.HTTPFlow, exchange: Exchange, tunnel: Identity | None, answer: Answer) -> None:
        identity, decision = answer
        if identity is None:
            return
        peer = self.exchanges.peer(flow.client_conn)
        if identity.method == SIGNED and exchange.door is not Door.CONNECT and _has_body(flow):
            exchange.promise = exchange.plan.auth.promise(exchange.request)
        exchange.context = advance(exchange.context, Authenticated, decision, identity=identity)
        if exchange.door is Door.CONNECT:
            peer.identity = identity
        elif peer.plan is exchange.plan and (peer.proof is None or peer.proof.decision is not decision):
            peer.proof = exchange.plan.auth.proof(exchange.request, tunnel, answer)


def _has_body(flow: http.HTTPFlow) -> bool:
    """Whether one may follow the head: in HTTP/2 it may where nothing announces it, in HTTP/1 it may not."""
    headers = flow.request.headers
    length = headers.get("content-length")
    if length is not None:
        return bool(length != "0")
    # The request itself does not tell: those of HTTP/2 are made HTTP/1.1 before they get here.
    return flow.client_conn.alpn == b"h2" or "transfer-encoding" in headers
