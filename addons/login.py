"""Our own door for people and second factors: a credential is exchanged for a session, shown, and ended here."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable
from functools import partial

from mitmproxy import http

from addons import convert
from addons.exchange import Exchange, Exchanges
from addons.stage import stage
from llmauth.authenticators import login
from llmauth.authenticators.login import LONGEST
from llmauth.context import Authenticated, Identity, RequestContext, advance
from llmauth.errors import BadRequest, BodyTooLarge, MethodNotAllowed
from llmauth.gateway import Gateway
from llmauth.http import Door, Headers, Request, Response
from llmauth.routers.auth import Answer, Pending
from llmauth.telemetry.logs import about

logger = logging.getLogger(__name__)

LOGIN, LOGOUT, WHOAMI = "/auth/login", "/auth/logout", "/auth/whoami"
_METHODS = {LOGIN: ("POST",), LOGOUT: ("POST",), WHOAMI: ("GET", "HEAD")}


def at_gateway(exchange: Exchange) -> bool:
    """Whether it was sent to us."""
    return exchange.door is Door.GATEWAY


def is_login(exchange: Exchange) -> bool:
    """Whether it is the one request here that comes without a proof. By another method the path is no such."""
    request = exchange.request
    return exchange.door is Door.GATEWAY and request.url.path == LOGIN and request.method == "POST"


class Login:
    """Claims the exchange of a credential for a session before anybody else judges who is calling.

    The credential may stand in the head, in its usual place, or in a short body: that is read first and judged then.
    """

    name = "login"

    def __init__(self, gateway: Gateway, exchanges: Exchanges) -> None:
        self.gateway = gateway
        self.exchanges = exchanges

    @stage(RequestContext, only=is_login)
    def requestheaders(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        exchange.claimed_by = self
        length = exchange.request.headers.get("content-length")
        # In HTTP/1 a request without a length and without a coding has no body; in HTTP/2 it may have any.
        if length is None and (flow.client_conn.alpn == b"h2" or "transfer-encoding" in exchange.request.headers):
            raise BadRequest("To log in needs a Content-Length; it may be 0.", close=True)
        if length is not None and int(length) > LONGEST:
            raise BodyTooLarge(
                f"The request body is over the limit of {LONGEST // 1024} KiB for this path.", close=True
            )

    @stage(RequestContext, only=is_login)
    def request(self, flow: http.HTTPFlow, exchange: Exchange) -> Awaitable[None] | None:
        request = exchange.request
        body = flow.request.raw_content or b""
        asked = login.read(body, request.source)
        with about(exchange.context.request_id):
            verdict = exchange.plan.auth.recall(request, form=asked.form, code=asked.code, body=body)
        return self._finish(flow, exchange, verdict)

    async def _finish(self, flow: http.HTTPFlow, exchange: Exchange, verdict: Answer | Pending) -> None:
        auth = exchange.plan.auth
        identity, decision = await auth.authenticate(verdict) if isinstance(verdict, Pending) else verdict
        assert identity is not None
        exchange.context = advance(exchange.context, Authenticated, decision, identity=identity)
        context, recording = exchange.context, self.gateway.recording
        recording.require_usable()
        opened = await auth.run(partial(exchange.plan.callers.sessions.open, identity))
        await recording.administered("session opened", identity, context.request_id, opened.id)
        facts = {"session_token": opened.token.reveal(), "expires_in": opened.expires_in, "user": identity.user}
        convert.answer(flow, _answer(facts))
        _tell("A session was opened", exchange, identity)


class Account:
    """What somebody who is known may ask about itself."""

    name = "account"

    def __init__(self, gateway: Gateway, exchanges: Exchanges) -> None:
        self.gateway = gateway
        self.exchanges = exchanges

    @stage(Authenticated, only=at_gateway)
    def requestheaders(self, flow: http.HTTPFlow, exchange: Exchange) -> Awaitable[None] | None:
        assert isinstance(exchange.context, Authenticated)
        path, identity = exchange.request.url.path, exchange.context.identity
        if path not in _METHODS or exchange.promise is not None:
            return None
        _require_method(exchange.request)
        if path == LOGOUT:
            return self._log_out(flow, exchange, identity)
        convert.answer(flow, _answer({**_facts(identity), "allowed": _allowed(exchange, identity)}))
        return None

    async def _log_out(self, flow: http.HTTPFlow, exchange: Exchange, identity: Identity) -> None:
        await exchange.plan.auth.run(partial(exchange.plan.callers.sessions.close, identity))
        await self.gateway.recording.administered("session ended", identity, exchange.context.request_id)
        convert.answer(flow, _answer({"ended": True}))
        _tell("A session was ended", exchange, identity)


def _allowed(exchange: Exchange, identity: Identity) -> dict[str, object]:
    """The rules that count for this caller; nobody else's. What is not limited is null."""
    allowance = exchange.plan.governor.allowance(identity)
    return allowance.facts(counted=exchange.plan.settings.policies.limits)


def _require_method(request: Request) -> None:
    allowed = _METHODS[request.url.path]
    if request.method not in allowed:
        raise MethodNotAllowed(f"{request.method} is not what {request.url.path} is asked by.", allow=allowed)


def _facts(identity: Identity) -> dict[str, object]:
    return {
        "user": identity.user,
        "method": identity.method,
        "groups": list(identity.groups),
        "key_id": identity.key_id,
        "expires_at": identity.expires_at,
        "second_factor": identity.second_factor,
    }


def _tell(message: str, exchange: Exchange, identity: Identity) -> None:
    facts = {"request_id": exchange.context.request_id, "user": identity.user, "key_id": identity.key_id}
    logger.info(message, extra=facts)


def _answer(facts: dict[str, object]) -> Response:
    # "The response MUST include the HTTP 'Cache-Control' response header field with a value of 'no-store'" (RFC 6749,
    # 5.1), of any answer that holds a token.
    headers = Headers([(b"content-type", b"application/json"), (b"cache-control", b"no-store")])
    return Response(status=200, headers=headers, body=json.dumps(facts).encode())
