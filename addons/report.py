"""What happened to every request, told in small batches, and the header that tells client and operator which it was."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from mitmproxy import http
from mitmproxy.connection import Client

from addons.exchange import Exchange, Exchanges
from addons.remembering import Ended
from addons.settling import settle
from addons.stage import fail
from addons.wire.stream import KEPT_UP_TO
from addons.wire.websocket import traffic_of
from addons.wire.weighing import HELD_UP_TO
from llmauth.chat.messages import Usage
from llmauth.context import Routed
from llmauth.errors import UpstreamUnreachable
from llmauth.gateway import Gateway
from llmauth.http import Headers
from llmauth.telemetry import access
from llmauth.telemetry.access import Outcome
from llmauth.translation import StreamTranslator
from llmauth.usage.meter import Reason
from llmauth.usage.told import MOST
from llmauth.websocket.handshake import SWITCHING, is_asked

# A short answer is cheaper in one write than in three; a longer one, and every event stream, passes as it comes.
_BUFFERED_UP_TO = 16 * 1024
_STREAMS = (b"text/event-stream", b"application/vnd.amazon.eventstream")
_FINAL = range(200, 600)
_REFUSALS = 400
_HOP_BY_HOP = frozenset({b"keep-alive", b"proxy-connection", b"proxy-authenticate"})
_NONE = (b"",)

# Told in a row, outcomes cost half of what they cost one by one; nobody notices that a line is this late.
_LATE = 0.02
_BATCH = 64

# A flow that was stopped has no status that anybody saw; 499 is what others write for a client that left.
_UNSEEN = 499


_Metered = tuple[Usage | None, Reason | None]


class _Ended(NamedTuple):
    """What has ended, when, and whether its answer was cut; what else there is to tell is put together later.

    `metered` are its tokens, where they had to be known at once.
    """

    flow: http.HTTPFlow
    exchange: Exchange
    at: float
    cut: bool
    metered: _Metered | None


Tell = Callable[[Sequence[Outcome]], None]
"""Wants to know how requests ended."""
Keep = Callable[[Iterable[Ended]], None]
"""Remembers them, with all that is known of each."""


def _keep_nothing(ended: Iterable[Ended]) -> None:
    """Nobody will ask."""


class Report:
    """The last to see an answer. It tells; nothing is decided here, but for an answer that is none."""

    name = "report"

    def __init__(
        self, gateway: Gateway, exchanges: Exchanges, also: Sequence[Tell] = (), keep: Keep = _keep_nothing
    ) -> None:
        self.gateway = gateway
        self.exchanges = exchanges
        self._also = tuple(also)
        self._keep = keep
        self._ended: list[_Ended] = []
        gateway.metrics.watch_requests(exchanges.running)

    def tell_also(self, tell: Tell) -> None:
        """From now on tell this one too."""
        self._also += (tell,)

    def client_connected(self, client: Client) -> None:
        self.gateway.metrics.client_connected()

    def client_disconnected(self, client: Client) -> None:
        self.gateway.metrics.client_disconnected()
        for flow in [socket for socket in self.exchanges.sockets if socket.client_conn is client]:
            self._close(flow)  # one that its layer could not tell of

    def server_ready(self, flow: http.HTTPFlow) -> None:
        exchange = self.exchanges.of(flow)
        if exchange is not None:
            exchange.sent_at = time.monotonic()

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        exchange = self.exchanges.of(flow)
        if exchange is None or flow.response is None:
            return
        exchange.first_byte_at = time.monotonic()
        _let_go(exchange)
        response = flow.response
        index = Headers(response.headers.fields).index()
        exchange.streamed = index.get(b"content-type", _NONE)[0].startswith(_STREAMS)
        if exchange.error is None and exchange.sent_at is not None:
            if response.status_code not in _FINAL and not _switches(response, exchange):
                fail(flow, exchange, UpstreamUnreachable("The provider's answer has no valid status."))
                return
            if exchange.stream is None and not exchange.whole:
                _pass(response, index, held=exchange.untold)
        shown = index.get(b"x-request-id")
        if shown is None:
            response.headers.fields += ((b"X-Request-Id", exchange.context.request_id.encode()),)
        elif exchange.error is None:
            exchange.provider_request_id = shown[0].decode("ascii", "replace")
        if self.exchanges.draining and not _switches(response, exchange):
            response.headers["Connection"] = "close"

    def response(self, flow: http.HTTPFlow) -> None:
        if flow not in self.exchanges.sockets:
            self._close(flow)

    def socket_closed(self, flow: http.HTTPFlow) -> None:
        self._close(flow)

    def error(self, flow: http.HTTPFlow) -> None:
        self._close(flow)

    def stopped(self, flow: http.HTTPFlow) -> None:
        """One whose hook failed, or that is over and was not told of: no further hook is sure to come."""
        self._close(flow)

    def http_connected(self, flow: http.HTTPFlow) -> None:
        self.exchanges.end(flow)

    def http_connect_error(self, flow: http.HTTPFlow) -> None:
        self._close(flow)

    def done(self) -> None:
        self.tell()

    def _close(self, flow: http.HTTPFlow) -> None:
        self.exchanges.end(flow)
        exchange = self.exchanges.of(flow)
        if exchange is None or exchange.reported:
            return
        exchange.reported = True
        _let_go(exchange)
        ended = self._ended
        # Asked now: who failed before may be answered after this.
        cut = flow.error is not None and exchange.first_byte_at is not None
        ended.append(_Ended(flow, exchange, time.monotonic(), cut, _settled(flow, exchange, cut=cut)))
        if len(ended) == 1:
            asyncio.get_running_loop().call_later(_LATE, self.tell)
        elif len(ended) >= _BATCH:
            self.tell()

    def tell(self) -> None:
        """Count and log what has ended so far."""
        ended, self._ended = self._ended, []
        outcomes = [_outcome(*each) for each in ended]
        access.write(outcomes, self.gateway.metrics)
        for tell in self._also:
            tell(outcomes)
        self._keep((each.flow, each.exchange, outcome) for each, outcome in zip(ended, outcomes, strict=True))


def _let_go(exchange: Exchange) -> None:
    """A body of some size is not kept for an answer that may take an hour."""
    if len(exchange.request.body) > KEPT_UP_TO:
        exchange.request = exchange.request.altered(body=b"")


def _pass(response: http.Response, index: Mapping[bytes, Sequence[bytes]], *, held: bool) -> None:
    response.stream = _is_too_long_to_hold(index) if held else _streams(index)
    if not index.keys().isdisjoint(_HOP_BY_HOP):
        kept = (field for field in response.headers.fields if field[0].lower() not in _HOP_BY_HOP)
        response.headers.fields = tuple(kept)


def _streams(index: Mapping[bytes, Sequence[bytes]]) -> bool:
    (length, *_), (kind, *_) = index.get(b"content-length", _NONE), index.get(b"content-type", _NONE)
    return kind.startswith(_STREAMS) or not (length.isdigit() and int(length) <= _BUFFERED_UP_TO)


def _is_too_long_to_hold(index: Mapping[bytes, Sequence[bytes]]) -> bool:
    """Of an answer that is looked at first. Where no length is told, the layer below counts."""
    length, *_ = index.get(b"content-length", _NONE)
    return length.isdigit() and int(length) > HELD_UP_TO


def _switches(response: http.Response, exchange: Exchange) -> bool:
    """Whether this opens the WebSocket that was asked for."""
    return response.status_code == SWITCHING and is_asked(exchange.request.headers)


def _settled(flow: http.HTTPFlow, exchange: Exchange, *, cut: bool) -> _Metered | None:
    """End what a limit counts before the client can know that its answer is over: it may ask again at once."""
    admission = exchange.admission
    if admission is None:
        return None
    status = flow.response.status_code if flow.response is not None else None
    try:
        metered = _metered(exchange, cut=cut, answered=status is not None and status < _REFUSALS)
        settle(exchange, *metered, cut=cut, status=status)
    finally:
        admission.settle(None)  # whatever failed, nothing runs for ever; otherwise it has ended already
    return metered


def _outcome(flow: http.HTTPFlow, exchange: Exchange, at: float, cut: bool, metered: _Metered | None) -> Outcome:
    response, context, error = flow.response, exchange.context, exchange.error
    prices = exchange.plan.governor.prices
    traffic = traffic_of(flow)
    if metered is None:
        answered = response is not None and response.status_code < _REFUSALS
        metered = _metered(exchange, cut=cut, answered=answered)
    usage, unmetered = metered
    cost = exchange.cost
    if cost is None and usage is not None and exchange.admission is None and isinstance(context, Routed):
        cost = prices.cost(usage, exchange.asked, context.target.model)
    return Outcome(
        context=context,
        request=exchange.request,
        status=response.status_code if response is not None else _UNSEEN,
        finished=at,
        overhead=_overhead(exchange),
        dial=_dial(exchange),
        upstream=at - exchange.sent_at if exchange.sent_at is not None else None,
        first_byte_at=exchange.first_byte_at,
        first_data_at=exchange.first_data_at,
        error=error,
        decisions=exchange.judged,
        cut=cut,
        usage=usage,
        unmetered=unmetered,
        provider_request_id=exchange.provider_request_id,
        limit=exchange.limit,
        renewed=exchange.again,
        carried=None if traffic is None else (traffic.received, traffic.sent),
        cost=cost,
        priced=bool(prices),
    )


def _metered(exchange: Exchange, *, cut: bool, answered: bool) -> _Metered:
    """The tokens that were told, and why not all of them: by the translation, or by whatever passed a meter."""
    meter, exchange.meter = exchange.meter, None  # what it keeps must not wait for the garbage collector
    if meter is not None:
        reading = meter.reading(cut=cut)
        # A client that asks for a compressed answer has more of it for fewer bytes.
        exchange.passed = max(exchange.passed, reading.decoded)
        return reading.usage, reading.lacks
    if exchange.prepared is None or exchange.sent_at is None or not answered:
        return None, None
    usage = exchange.usage or _told_by_stream(exchange)
    if usage is not None and max(usage.total, usage.reasoning) > MOST:
        return None, Reason.BROKEN  # as the meters have it
    return usage, Reason.CUT if cut else Reason.NOT_TOLD if usage is None else None


def _told_by_stream(exchange: Exchange) -> Usage | None:
    """What the translation was told so far, where no hook came to remember it."""
    stream = exchange.stream
    return stream.usage if isinstance(stream, StreamTranslator) else None


def _overhead(exchange: Exchange) -> float | None:
    """What we took to judge and sign, without the time that the client took to send its body."""
    if exchange.approved_at is None or exchange.body_in_at is None:
        return None
    return exchange.head_took + exchange.approved_at - exchange.body_in_at


def _dial(exchange: Exchange) -> float | None:
    """What it took to have a connection to the provider: nothing where one was open."""
    if exchange.sent_at is None or exchange.approved_at is None:
        return None
    return exchange.sent_at - exchange.approved_at
