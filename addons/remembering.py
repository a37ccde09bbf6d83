"""What is remembered of a request: taken out of flow and exchange at its end, or while it runs."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

from mitmproxy import http

from addons.exchange import Exchange, Exchanges, exchange_of, peer_of
from llmauth.context import Authenticated, Carried, Credentialed, Decision, ProtocolRoute, Routed
from llmauth.credentials.cache import Leased
from llmauth.errors import GatewayError, Unauthenticated, UnknownRequest
from llmauth.gateway import Gateway
from llmauth.hindsight.remembered import Body, Head, Lent, Refusal, Remembered
from llmauth.http import Door, Field, Headers, Request
from llmauth.storage.key_text import may_hold_key
from llmauth.telemetry.access import Outcome, decides_in_detail, told

logger = logging.getLogger(__name__)

Judged = Callable[[Request], frozenset[str]]
"""The slots of a head that hold something that is judged."""
Ended = tuple[http.HTTPFlow, Exchange, Outcome]

_LONGEST_PATH = 300
_LONGEST_METHOD = 20
_LONGEST_ID = 128
_MOST_NAMES = 60
_LONGEST_NAME = 64
# Of a body that nobody had to read only its ends are looked at, where SDKs write the model.
_LOOKED_AT = 2048
_MODEL = re.compile(rb'"model"\s*:\s*"([\x21\x23-\x5b\x5d-\x7e]{1,100})"')
_PRODUCT = re.compile(rb"[A-Za-z0-9._-]{1,40}(?:/[A-Za-z0-9._-]{1,20})?")
_BY_THE_HEAD = ("auth", "mode", "provider")
_ALL = (*_BY_THE_HEAD, "model", "credential", "vault")
_PROVED = ("auth",)


class Remembering:
    """Keeps requests that are over in the gateway's memory, and tells it which run."""

    def __init__(self, gateway: Gateway, exchanges: Exchanges) -> None:
        self.gateway = gateway
        self._exchanges = exchanges
        gateway.memory.watch(self._running)

    def keep(self, ended: Iterable[Ended]) -> None:
        """Remember these. Whatever fails here is no concern of theirs: they are over."""
        try:
            self.gateway.memory.keep([self._one(*each) for each in ended if _is_worth_it(each[1])])
        except Exception:
            logger.exception("What became of some requests is not remembered")

    def _running(self) -> Sequence[Remembered]:
        now = time.monotonic()
        running = ((flow, exchange_of(flow)) for flow in tuple(self._exchanges.open))
        return [
            self._one(flow, exchange, so_far(exchange, now))
            for flow, exchange in running
            if exchange is not None and not exchange.reported and _is_worth_it(exchange)
        ]

    def _one(self, flow: http.HTTPFlow, exchange: Exchange, outcome: Outcome | SoFar) -> Remembered:
        context, request, error = exchange.context, exchange.request, exchange.error
        route = context.route if isinstance(context, Routed) else exchange.route
        spoken = route if isinstance(route, ProtocolRoute) else None
        first = exchange.first_data_at or exchange.first_byte_at
        return Remembered(
            context.request_id,
            context.received_at,
            outcome.finished - context.started,
            request.door,
            request.method[:_LONGEST_METHOD],
            _host(exchange, request),
            request.url.path.partition("?")[0][:_LONGEST_PATH],
            request.source,
            context.identity if isinstance(context, Authenticated) else None,
            type(context).__name__,
            spoken.protocol if spoken is not None else None,
            spoken.operation if spoken is not None else None,
            exchange.prepared.passes if exchange.prepared is not None else None,
            _asked(exchange),
            context.target if isinstance(context, Routed) else None,
            outcome.decisions,
            _as_before(exchange),
            outcome.status if isinstance(outcome, Outcome) else None,
            _refusal(error) if error is not None else None,
            outcome.usage,
            outcome.unmetered,
            outcome.cost,
            outcome.overhead,
            outcome.dial,
            outcome.upstream,
            first - context.started if first is not None else None,
            exchange.streamed,
            outcome.cut,
            outcome.limit,
            outcome.renewed,
            outcome.carried,
            _id(outcome.provider_request_id),
            self._head(flow, exchange),
            _body(flow, exchange),
            _lent(exchange.leased, exchange) if exchange.leased is not None else None,
            exchange.allowance,
        )

    def _head(self, flow: http.HTTPFlow, exchange: Exchange) -> Head:
        """Found out once for a head that its connection repeats."""
        known, peer = exchange.known, peer_of(flow.client_conn)
        if known is not None and peer.told is not None and peer.told[0] is known:
            return peer.told[1]
        head = _told(flow, exchange, exchange.plan.auth.judged)
        if known is not None and exchange.approved_at is not None:
            peer.told = (known, head)
        return head


class SoFar(NamedTuple):
    """Of a request that runs, what an outcome has of one that is over."""

    finished: float
    decisions: tuple[Decision, ...]
    overhead: None = None
    dial: None = None
    upstream: None = None
    usage: None = None
    unmetered: None = None
    cost: None = None
    cut: bool = False
    limit: None = None
    renewed: bool = False
    carried: None = None
    provider_request_id: None = None


def so_far(exchange: Exchange, now: float) -> SoFar:
    """What is known of one that runs."""
    return SoFar(finished=now, decisions=exchange.judged)


def _is_worth_it(exchange: Exchange) -> bool:
    """Whether anybody will ask for it: probes of health and questions about oneself say nothing of requests."""
    if exchange.error is not None:
        return not isinstance(exchange.error, UnknownRequest)
    return (
        exchange.route is not None
        or exchange.claimed_by is not None
        or exchange.door is Door.CONNECT
        or isinstance(exchange.context, Carried)
    )


def _host(exchange: Exchange, request: Request) -> str | None:
    """Where it was to go in the client's own words, where that is not ourselves."""
    if request.door is Door.GATEWAY:
        return None
    if isinstance(exchange.context, Carried):
        return str(exchange.context.destination)
    return str(request.tunnel) if request.door is Door.CONNECT else request.url.host


def _asked(exchange: Exchange) -> str | None:
    """The model in the client's words. Where no rule had the body read, what it says is good enough to be shown."""
    if exchange.asked is not None:
        return exchange.asked
    context, body = exchange.context, exchange.request.body
    if not isinstance(context, Routed) or context.target.model is not None or not body.startswith(b"{"):
        return None
    found = _MODEL.search(body, 0, _LOOKED_AT) or _MODEL.search(body, max(0, len(body) - _LOOKED_AT))
    return found[1].decode("ascii") if found is not None else None


def _as_before(exchange: Exchange) -> tuple[str, ...]:
    if exchange.known is None:
        return _PROVED if exchange.proved_before else ()
    # A credential of before is another's decision only where the whole request was sent as the one before.
    sent = exchange.known.sent
    context = exchange.context
    if sent is None or not isinstance(context, Credentialed) or context.decisions[1:] != sent.decisions:
        return _BY_THE_HEAD
    return _ALL


def _refusal(error: GatewayError) -> Refusal:
    reason, fp = (error.reason, error.fp) if isinstance(error, Unauthenticated) else (None, None)
    return Refusal(
        error.code,
        error.fault,
        told(error),
        error.hint,
        error.detail,
        reason,
        fp,
    )


def _id(text: str | None) -> str | None:
    return None if text is None else text[:_LONGEST_ID]


def _told(flow: http.HTTPFlow, exchange: Exchange, judged: Judged) -> Head:
    request = exchange.request
    if exchange.came is not None:
        request = request.altered(headers=Headers(exchange.came.fields))
    came = request.headers.fields
    if exchange.approved_at is None:
        return Head((), (), frozenset(), _client(came))
    sent = flow.request.data.headers.fields
    left, had = set(sent), set(came)
    removed = [field[0].lower() for field in came if field not in left]
    added = [field[0].lower() for field in sent if field not in had]
    proved = _proved(exchange, request, judged)
    return Head(_names(removed), _names(added), proved, _client(came))


def _names(names: Sequence[bytes]) -> tuple[bytes, ...]:
    return tuple([name[:_LONGEST_NAME] for name in names[:_MOST_NAMES]])


def _proved(exchange: Exchange, request: Request, judged: Judged) -> frozenset[str]:
    """The slots that were judged. Where one stood alone its decision tells, and nobody has to look again."""
    made = exchange.context.decisions
    slots = made[0].input if made else ""
    return judged(request) if "+" in slots else frozenset((slots,))


def _client(fields: Sequence[Field]) -> str | None:
    for name, value in fields:
        if len(name) == len(b"user-agent") and name.lower() == b"user-agent":
            return _product(value)
    return None


@lru_cache(maxsize=512)
def _product(value: bytes) -> str | None:
    """The first product of a User-Agent, where it is one and holds no key."""
    found = _PRODUCT.match(value[:_LOOKED_AT])
    text = found[0].decode("ascii") if found is not None else None
    return None if text is None or may_hold_key(text) else text


def _body(flow: http.HTTPFlow, exchange: Exchange) -> Body | None:
    if exchange.approved_at is None:
        return None
    body, came = exchange.request.body, exchange.came
    sent = len(body) or None  # one of some length is not kept until the end
    # A hash takes as long as all of this together, and is wanted by whoever looks closely anyway.
    digest = sha256(body).hexdigest() if decides_in_detail() and body else None
    return Body(sent, sent, True, digest) if came is None else Body(came.size, sent, came.unchanged, digest)


def _lent(leased: Leased, exchange: Exchange) -> Lent:
    """At the moment of its use."""
    since = time.time() - (time.monotonic() - (exchange.approved_at or exchange.context.started))
    term, ends = leased.term, leased.expires_at
    renews = term.renew - (exchange.approved_at or exchange.context.started)
    return Lent(
        leased.strategy,
        leased.source,
        since - leased.loaded_at,
        renews if renews > -1e9 else None,
        None if ends is None else ends - since,
    )
