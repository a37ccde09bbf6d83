"""Heads that come again: SDKs send the same one with every request of a connection, and it is judged once.

What time, other clients or the operator may change is asked for every request: whether the caller is still let in,
which credential is held, whether there is room for the body. Whatever is not as it was goes the whole way.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress

from mitmproxy import http

from addons.exchange import Exchange, Exchanges, Peer, fresh_id, peer_of
from addons.failclosed import Settled
from addons.known import DIGITS, LENGTH, Known, Sent, line_of
from addons.settling import guessed
from addons.stage import stage
from addons.wire.bodies import over_limit
from addons.wire.heads import MalformedRequest
from llmauth.addresses import HostPort
from llmauth.context import Authenticated, Credentialed, Identity, TransparentRoute, advance, complete
from llmauth.credentials.cache import Leased
from llmauth.errors import GatewayError
from llmauth.gateway import Gateway
from llmauth.gateway.plan import Plan
from llmauth.http import Door, Field, Headers
from llmauth.secrets import ApiKey, BearerToken

# Every connection keeps one head. Longer ones are rare, and many idle connections would hold a lot.
_KEPT_UP_TO = 8 * 1024
_FIELDS_UP_TO = 64
# What these say is for one request: its own name, a body without a length, another protocol.
# Who sends something new with every request, as a trace's id, would only have us keep heads in vain.
_PATIENCE = 4
_TRY_AGAIN = 64
_FOR_ONE = frozenset({b"x-request-id", b"transfer-encoding", b"upgrade", b"expect"})


class Repeats:
    """Stands before every addon that judges a head, and answers in their place where the head is the one of before.

    `settled` names these addons: the manager leaves them out.
    """

    name = "repeats"

    def __init__(self, gateway: Gateway, exchanges: Exchanges, settled: Settled) -> None:
        self.gateway = gateway
        self.exchanges = exchanges
        self._settled = settled

    def requestheaders(self, flow: http.HTTPFlow) -> Settled | None:
        """From here the exchange is as if the addons had judged it. `None`: they do."""
        started = time.monotonic()
        peer, plan = peer_of(flow.client_conn), self.gateway.plan
        known = peer.known
        if known is None or peer.plan is not plan or self._is_special(flow):
            return None
        fields = flow.request.data.headers.fields
        length = known.announced(line_of(flow, peer.gateway, peer.tunnel), fields)
        if length is None or over_limit(plan.limits, length, length) is not None:
            return None
        identity = _identity(plan, known, peer)
        if identity is None or plan.governor.allowance(identity) is not known.allowance:
            return None
        peer.unrepeated = 0
        self._begin(flow, plan, known, fields, identity, started)
        return self._settled

    def _is_special(self, flow: http.HTTPFlow) -> bool:
        """Whether something beside the head has a say."""
        return (
            flow.response is not None
            or flow.error is not None
            or flow.client_conn.error is not None
            or self.exchanges.draining
            or isinstance(flow.request, MalformedRequest)
        )

    def _begin(
        self,
        flow: http.HTTPFlow,
        plan: Plan,
        known: Known,
        fields: tuple[Field, ...],
        identity: Identity,
        started: float,
    ) -> None:
        context = complete(
            Authenticated,
            request_id=fresh_id(),
            received_at=time.time(),
            started=started,
            decisions=(known.proof.decision,),
            identity=identity,
        )
        request = known.request if fields == known.fields else known.request.altered(headers=Headers(fields))
        exchange = Exchange(context, request, request.door, plan)
        exchange.known, exchange.line = known, known.line
        exchange.route, exchange.handler, exchange.decisions = known.route, known.handler, known.decisions
        exchange.allowance = known.allowance
        exchange.head_took = time.monotonic() - started
        self.exchanges.begin(flow, exchange)

    def request(self, flow: http.HTTPFlow) -> Settled | None:
        """The body is in. With the credential of before, the request leaves as the one before left."""
        exchange = self.exchanges.of(flow)
        if exchange is None or exchange.known is None or flow.response is not None or flow.error is not None:
            return None
        exchange.body_in_at = time.monotonic()
        sent = exchange.known.sent
        held = exchange.plan.credential.held(sent.target) if sent is not None else None
        if sent is None or held is None or held[0] is not sent.leased:
            return None
        exchange.request = exchange.request.altered(body=flow.request.raw_content or b"")
        if not self._has_room(exchange, exchange.known, sent):
            return None
        _send(flow, exchange, exchange.known, sent)
        return self._settled

    def _has_room(self, exchange: Exchange, known: Known, sent: Sent) -> bool:
        """Whether the limits let it in at once. Where they do not, or others must be asked, nothing was taken yet."""
        allowance = known.allowance
        if not allowance.scopes:
            return True
        with suppress(GatewayError):
            guess = guessed(exchange, allowance)
            exchange.admission = exchange.plan.governor.admit_now(allowance, guess, sent.target.model)
        return exchange.admission is not None


def _identity(plan: Plan, known: Known, peer: Peer) -> Identity | None:
    tunnel = peer.identity if known.request.door is Door.TUNNEL else None
    answer = plan.auth.stands(known.proof, tunnel)
    return answer[0] if answer is not None else None


def _send(flow: http.HTTPFlow, exchange: Exchange, known: Known, sent: Sent) -> None:
    context, data = exchange.context, flow.request.data
    length = exchange.request.headers.fields[known.length_at][1]
    data.method, data.scheme, data.path, data.authority = sent.method, b"https", sent.path, b""
    data.host, data.port = sent.approved
    data.headers.fields = sent.fields_for(length, context.request_id)
    leased = sent.leased
    exchange.approved, exchange.leased, exchange.secrets = sent.approved, leased, sent.secrets
    exchange.context = advance(
        context,
        Credentialed,
        *sent.decisions,
        route=known.route,
        target=sent.target,
        strategy=leased.strategy,
        expires_at=leased.expires_at,
    )
    exchange.approved_at = time.monotonic()


class Remember:
    """Stands behind them, and keeps what was judged of a head that passed."""

    name = "remember"

    def __init__(self, exchanges: Exchanges) -> None:
        self.exchanges = exchanges

    @stage(Credentialed)
    def request(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Nothing is changed here, and nothing refused."""
        peer = peer_of(flow.client_conn)
        if peer.plan is not exchange.plan:
            return
        if exchange.known is not None:
            if exchange.known.sent is None:
                return
        else:
            peer.unrepeated += 1
            if peer.unrepeated > _PATIENCE and peer.unrepeated % _TRY_AGAIN:
                return
        known = self._known(flow, exchange, peer)
        if known is not None:
            peer.known = known

    def _known(self, flow: http.HTTPFlow, exchange: Exchange, peer: Peer) -> Known | None:
        request, line, proof = exchange.request, exchange.line, peer.proof
        route, handler = exchange.route, exchange.handler
        allowance = exchange.allowance
        if line is None or handler is None or proof is None or allowance is None or not self._is_for_all(exchange):
            return None
        if not isinstance(route, TransparentRoute):
            return None  # in every other one the body has a say
        tunnel = peer.identity if exchange.door is Door.TUNNEL else None
        if exchange.plan.auth.again(proof, request, tunnel) is None:
            return None  # the proof is of another request: over HTTP/2 there are several at once
        return Known(
            line=line,
            fields=request.headers.fields,
            length_at=_place(request.headers.fields, LENGTH),
            request=request.altered(body=b""),
            proof=proof,
            allowance=allowance,
            route=route,
            handler=handler,
            decisions=exchange.decisions,
            sent=self._sent(flow, exchange),
        )

    def _is_for_all(self, exchange: Exchange) -> bool:
        """Whether a request with the same head would be judged the same by its head."""
        headers, allowance = exchange.request.headers, exchange.allowance
        index = headers.index()
        size = sum(len(name) + len(value) for name, value in headers.fields)
        return (
            allowance is not None
            and not allowance.needs_model  # every provider's body may name one
            and allowance.expires is None
            and not exchange.plan.model.reads_bodies
            and index.keys().isdisjoint(_FOR_ONE)
            and len(index.get(LENGTH, ())) == 1
            and size <= min(_KEPT_UP_TO, exchange.plan.head_limits.head) - DIGITS
            and len(headers.fields) <= _FIELDS_UP_TO
        )

    def _sent(self, flow: http.HTTPFlow, exchange: Exchange) -> Sent | None:
        """What may be sent again: a key or a token, in fields of which we know what differs from one to the next."""
        context, data = exchange.context, flow.request.data
        assert isinstance(context, Credentialed)
        held, fields = exchange.plan.credential.held(context.target), data.headers.fields
        if held is None or not _was_sent(held[0], exchange):
            return None
        announced = exchange.request.headers.index()[LENGTH]
        if [value for name, value in fields if name.lower() == LENGTH] != announced:
            return None
        told = [value for name, value in fields if name.lower() == b"x-request-id"]
        tells_id = exchange.plan.settings.upstream.request_id
        if told != ([context.request_id.encode("ascii")] if tells_id else []):
            return None
        return Sent(
            leased=held[0],
            target=context.target,
            decisions=context.decisions[1:],
            method=data.method,
            path=data.path,
            approved=HostPort(data.host, data.port),
            fields=fields,
            length_at=_place(fields, LENGTH),
            id_at=_place(fields, b"x-request-id") if tells_id else None,
            secrets=exchange.secrets,
        )


def _was_sent(leased: Leased, exchange: Exchange) -> bool:
    """Whether it is this exchange's, and is put on as it is: a signature is for one request."""
    return leased is exchange.leased and isinstance(leased.credential, ApiKey | BearerToken)


def _place(fields: Sequence[Field], name: bytes) -> int:
    return next(place for place, field in enumerate(fields) if field[0].lower() == name)
