"""An answer that may refuse our credential is held until it is known to: then the request is sent once more, anew."""

from __future__ import annotations

from dataclasses import dataclass, field

from mitmproxy import http
from mitmproxy.proxy import commands
from mitmproxy.proxy.layers.http._events import ResponseHeaders

from addons.exchange import Exchange, exchange_of
from llmauth.http import Headers
from llmauth.providers.base import Verdict

# How much of an answer is kept back, to be looked at; one that turns out longer is sent on from there as it comes.
HELD_UP_TO = 64 * 1024
_REFUSALS = 400
_SWITCHING = 101


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
