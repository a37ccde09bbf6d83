"""An answer that may refuse our credential is held until it is known to: then the request is sent once more, anew."""

from __future__ import annotations

from dataclasses import dataclass, field

from mitmproxy import http
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers.http import HttpStream, SendHttp
from mitmproxy.proxy.layers.http._events import (
    HttpEvent,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
)

from addons.exchange import Exchange, exchange_of
from llmauth.http import Headers
from llmauth.providers.base import Verdict

# How much of an answer is kept back, to be looked at; one that turns out longer is sent on from there as it comes.
HELD_UP_TO = 64 * 1024
# How long the rest of a refusal is waited for whose head says all: it only keeps the connection for the second try.
PATIENCE = 2.0
_REFUSALS = 400


@dataclass
class RenewHook(commands.StartHook):
    """The provider refused the credential of this flow, and nothing was said to the client: is there another one?

    Who answers puts it on the flow's request, and sets `again` on its exchange.
    """

    name = "renew"
    flow: http.HTTPFlow


@dataclass(slots=True)
class Held:
    """The head of an answer, and what came of its body."""

    head: ResponseHeaders
    body: bytearray = field(default_factory=bytearray)


def is_weighed(flow: http.HTTPFlow, head: ResponseHeaders) -> bool:
    """Whether this answer may be a refusal of our credential, of a request that could be sent once more."""
    if head.response.status_code < _REFUSALS:
        return False
    exchange = exchange_of(flow)
    if exchange is None or exchange.leased is None or exchange.renewed or exchange.sent_at is None:
        return False
    if exchange.error is not None or flow.response is not None or exchange.handler is None:
        return False
    fields = Headers(head.response.headers.fields)
    return exchange.handler.verdict(head.response.status_code, fields) is not Verdict.PASSES


def is_told(flow: http.HTTPFlow, held: Held) -> bool:
    """Whether the head alone says that it is a refusal, so that it does not matter how its body ends."""
    exchange = exchange_of(flow)
    if exchange is None or exchange.handler is None or exchange.timed_out:
        return False
    status, fields = held.head.response.status_code, Headers(held.head.response.headers.fields)
    return exchange.handler.verdict(status, fields) in (Verdict.REJECTED, Verdict.EXPIRED)


def is_refused(flow: http.HTTPFlow, held: Held) -> bool:
    """The same, of the whole answer."""
    exchange = exchange_of(flow)
    assert exchange is not None
    return _verdict(exchange, held) is not Verdict.PASSES


def _verdict(exchange: Exchange, held: Held) -> Verdict:
    assert exchange.handler is not None
    status, fields = held.head.response.status_code, Headers(held.head.response.headers.fields)
    verdict = exchange.handler.verdict(status, fields)
    if verdict is Verdict.UNTOLD:
        return exchange.handler.verdict_of_body(status, fields, bytes(held.body))
    return verdict


class WeighingStream(HttpStream):
    """mitmproxy's stream, whose request may be sent a second time: with another credential, before the client hears."""

    _held: Held | None = None
    _patience: commands.RequestWakeup | None = None

    def state_wait_for_response_headers(self, event: HttpEvent) -> layer.CommandGenerator[None]:
        assert isinstance(event, ResponseHeaders)
        if is_weighed(self.flow, event):
            self._held = Held(event)
            self.server_state = self.state_weigh_response
            if not event.end_stream and is_told(self.flow, self._held):
                self._patience = commands.RequestWakeup(PATIENCE)
                yield self._patience
        else:
            yield from self.begin_answer(event)

    def begin_answer(self, event: ResponseHeaders) -> layer.CommandGenerator[None]:
        """The answer is the client's."""
        yield from super().state_wait_for_response_headers(event)

    def state_weigh_response(self, event: events.Event) -> layer.CommandGenerator[None]:
        """The rest of an answer that may be a refusal: it is kept, until it is known what it is."""
        held = self._held
        assert held is not None
        if isinstance(event, ResponseData):
            held.body += event.data
            if len(held.body) > HELD_UP_TO:
                yield from self._pass_held(held)
        elif isinstance(event, ResponseEndOfMessage):
            if is_refused(self.flow, held):
                yield RenewHook(self.flow)
                if (yield from self.check_killed(True)):
                    return
            exchange = exchange_of(self.flow)
            if exchange is not None and exchange.again and self.flow.response is None:
                yield from self._send_again()
            else:
                yield from self._pass_held(held, event)

    def lose_patience(self) -> layer.CommandGenerator[None]:
        """The rest of a refusal did not come in time, and is waited for no longer."""
        if self._held is not None and self.server_state == self.state_weigh_response:
            yield from self._pass_held(self._held)

    def _pass_held(self, held: Held, end: ResponseEndOfMessage | None = None) -> layer.CommandGenerator[None]:
        """What was held goes the usual way, as if it came now; unless the renewal failed, and has answered itself."""
        self._held = None
        exchange = exchange_of(self.flow)
        if exchange is not None and exchange.error is not None and self.flow.response is not None:
            self.server_state = self.state_errored
            yield from self.send_response()
            return
        yield from self.begin_answer(held.head)
        for event in (ResponseData(self.stream_id, bytes(held.body)) if held.body else None, end):
            if event is not None:
                yield from self.server_state(event)

    def _send_again(self) -> layer.CommandGenerator[None]:
        self._held = None
        self.server_state = self.state_wait_for_response_headers
        if not (yield from self.make_server_connection()):
            return
        content = self.flow.request.raw_content
        yield SendHttp(RequestHeaders(self.stream_id, self.flow.request, not content), self.context.server)
        if content:
            yield SendHttp(RequestData(self.stream_id, content), self.context.server)
        yield SendHttp(RequestEndOfMessage(self.stream_id), self.context.server)
