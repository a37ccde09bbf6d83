"""Protocol mode on the way back: the provider's answer, its stream and its refusals in the client's protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mitmproxy import http

from addons import convert
from addons.exchange import Exchange, Exchanges
from addons.stage import fail
from llmauth.chat.messages import Choice
from llmauth.codecs.base import JSON
from llmauth.context import Authenticated
from llmauth.errors import BrokenAnswer
from llmauth.gateway import Gateway
from llmauth.http import Field, Headers, Response
from llmauth.protocol import Prepared
from llmauth.reflection import mask
from llmauth.translation import StreamTranslator, Translation

_STREAMS = (b"text/event-stream", b"application/vnd.amazon.eventstream")
_SSE: tuple[Field, ...] = (
    (b"Content-Type", b"text/event-stream; charset=utf-8"),
    (b"Cache-Control", b"no-cache"),
    (b"Transfer-Encoding", b"chunked"),
)
# What providers call their own id of an answer.
_IDS = (b"x-request-id", b"request-id", b"x-amzn-requestid", b"opc-request-id", b"apim-request-id")
_REFUSALS = 400


class Answers:
    """Stands behind whoever reads the provider's own head, and before whoever tells what the client got."""

    name = "answers"

    def __init__(self, gateway: Gateway, exchanges: Exchanges) -> None:
        self.gateway = gateway
        self.exchanges = exchanges

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """The head decides what becomes of the body: a stream is translated as it comes, all else once it is in."""
        exchange = self.exchanges.of(flow)
        if exchange is None or exchange.prepared is None or exchange.sent_at is None or exchange.error is not None:
            return
        assert flow.response
        try:
            _begin(flow.response, exchange, exchange.prepared)
        except Exception as error:
            fail(flow, exchange, error)

    def response(self, flow: http.HTTPFlow) -> None:
        """A whole answer is in, or a stream is over."""
        exchange = self.exchanges.of(flow)
        if exchange is None or exchange.prepared is None or exchange.error is not None:
            return
        self._remember(exchange)
        if not exchange.whole:
            return
        translation = exchange.prepared.translation
        assert flow.response
        assert translation is not None
        told = tuple(field for field in flow.response.headers.fields if field[0].startswith(b"x-llmauth-"))
        try:
            self._translate(flow, exchange, translation)
        except Exception as error:
            fail(flow, exchange, error)
        flow.response.headers.fields += told

    def error(self, flow: http.HTTPFlow) -> None:
        """A stream that failed tells why."""
        exchange = self.exchanges.of(flow)
        if exchange is not None and exchange.stream is not None and exchange.error is None:
            exchange.error = exchange.stream.failure
            self._remember(exchange)

    def _remember(self, exchange: Exchange) -> None:
        stream = exchange.stream
        if isinstance(stream, StreamTranslator):
            exchange.usage = stream.usage
            if stream.failure is None and stream.thoughts is not None:
                self._keep(exchange, stream.thoughts.response().choices)

    def _keep(self, exchange: Exchange, choices: Sequence[Choice]) -> None:
        assert isinstance(exchange.context, Authenticated)
        for choice in choices:
            self.gateway.thoughts.keep(exchange.context.identity.user, choice.parts)

    def _translate(self, flow: http.HTTPFlow, exchange: Exchange, translation: Translation) -> None:
        response = flow.response
        assert response
        body = response.raw_content or b""
        if response.status_code >= _REFUSALS:
            raise translation.error(response.status_code, exchange.answered, mask(exchange.secrets, body))
        rendered, answer = translation.response(body)
        exchange.usage = answer.usage
        self._keep(exchange, answer.choices)
        kept = tuple(field for field in response.headers.fields if not field[0].startswith(b"x-llmauth-"))
        convert.answer(flow, Response(status=200, headers=Headers((JSON, *kept)), body=rendered))


def _begin(response: http.Response, exchange: Exchange, prepared: Prepared) -> None:
    index = Headers(response.headers.fields).index()
    served = (b"x-llmauth-served-by", prepared.route.instance.encode())
    translation = prepared.translation
    if translation is None:
        response.headers.fields += (served,)
        if prepared.native is not None and prepared.native.unwraps and _is_stream(index):
            _stream(response, exchange, prepared, (*_without(response, _OF_FRAMES), *_SSE))
        return
    exchange.provider_request_id = _first(index, _IDS)
    told = (served, *_dropped(translation))
    if index.get(b"content-encoding", [b"identity"])[0].lower() != b"identity":
        raise BrokenAnswer("The provider compressed its answer, though it was asked not to.")
    if response.status_code < _REFUSALS and translation.request.stream:
        if not _is_stream(index):
            raise BrokenAnswer("The provider was asked for a stream, and answered with something else.")
        _stream(response, exchange, prepared, (*_SSE, *told))
        return
    exchange.whole = True
    exchange.answered = Headers(response.headers.fields)
    response.headers.fields = told
    response.stream = False


def _stream(response: http.Response, exchange: Exchange, prepared: Prepared, fields: tuple[Field, ...]) -> None:
    response.headers.fields = fields
    response.stream = True
    exchange.stream = prepared.stream()


# What a head says of the frames that are taken off.
_OF_FRAMES = frozenset({b"content-type", b"content-length", b"transfer-encoding", b"cache-control"})


def _without(response: http.Response, names: frozenset[bytes]) -> tuple[Field, ...]:
    return tuple(field for field in response.headers.fields if field[0].lower() not in names)


def _is_stream(index: Mapping[bytes, Sequence[bytes]]) -> bool:
    return index.get(b"content-type", (b"",))[0].lower().startswith(_STREAMS)


def _dropped(translation: Translation) -> tuple[Field, ...]:
    names = ", ".join(translation.asked.dropped)
    return ((b"x-llmauth-dropped", names.encode("ascii", "replace")),) if names else ()


def _first(index: Mapping[bytes, Sequence[bytes]], names: Sequence[bytes]) -> str | None:
    found = next((index[name][0] for name in names if name in index), None)
    return None if found is None else found[:200].decode("ascii", "replace")
