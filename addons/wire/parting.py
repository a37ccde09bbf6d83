"""The last word of a stream that passes as it came: an error event after a whole one, where we end it ourselves."""

from __future__ import annotations

from mitmproxy import http

from addons.exchange import exchange_of
from llmauth.codecs.last_words import ends_an_event, is_known, last_word
from llmauth.errors import Draining
from llmauth.http import Headers

_SSE = b"text/event-stream"


def may_speak(flow: http.HTTPFlow) -> bool:
    """Whether the answer is a stream of events, in plain text, of a format that has such a word."""
    exchange, response = exchange_of(flow), flow.response
    if exchange is None or exchange.route is None or response is None or response.stream is not True:
        return False
    index = Headers(response.headers.fields).index()
    kind, coding = index.get(b"content-type", [b""])[0], index.get(b"content-encoding", [b"identity"])[0]
    # With a length there is no room for a byte more; what is compressed has no end that could be seen.
    plain = coding.lower() == b"identity" and b"content-length" not in index
    return plain and kind.lower().startswith(_SSE) and is_known(exchange.route.path)


def parting(flow: http.HTTPFlow, tail: bytes) -> bytes:
    """What to say after these last bytes, nothing where they do not end an event, or where it was not us who cut it."""
    exchange = exchange_of(flow)
    if exchange is None or not isinstance(exchange.cut_for, Draining) or exchange.route is None:
        return b""
    return last_word(exchange.route.path, exchange.cut_for) if ends_an_event(tail) and may_speak(flow) else b""
