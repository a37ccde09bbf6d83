"""Protocol mode on the way back: the provider's answer, its stream and its refusals in the client's protocol."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from functools import partial

from mitmproxy import http

from addons import convert
from addons.apart import LONG, apart
from addons.exchange import Exchange, Exchanges
from addons.stage import fail
from llmauth.chat.messages import Choice
from llmauth.codecs.anthropic.errors import REFUSALS as ANTHROPIC
from llmauth.codecs.base import JSON
from llmauth.codecs.whole import Said
from llmauth.context import Authenticated
from llmauth.errors import BrokenAnswer, GatewayError
from llmauth.gateway import Gateway
from llmauth.http import Field, Headers, Response
from llmauth.protocol import Prepared
from llmauth.reflection import hide, mask
from llmauth.storage.key_text import shown
from llmauth.translation import StreamTranslator

_STREAMS = (b"text/event-stream", b"application/vnd.amazon.eventstream")
_SSE: tuple[Field, ...] = (
    (b"Content-Type", b"text/event-stream; charset=utf-8"),
    (b"Cache-Control", b"no-cache"),
    (b"Transfer-Encoding", b"chunked"),
)
# What providers call their own id of an answer.
_IDS = (b"x-request-id", b"request-id", b"x-amzn-requestid", b"opc-request-id", b"apim-request-id")
GOOD = range(200, 300)
_OK = 200
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

    def response(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """A whole answer is in, or a stream is over."""
        exchange = self.exchanges.of(flow)
        if exchange is None or exchange.prepared is None or exchange.error is not None or flow.error is not None:
            return None
        self._remember(exchange)
        if not exchange.whole:
            return None
        assert flow.response
        body, status = flow.response.raw_content or b"", flow.response.status_code
        if len(body) > LONG or exchange.read_beside:
            return self._say_in_a_thread(flow, exchange, status, body)
        try:
            self._say(flow, exchange, _said(exchange, status, body))
        except Exception as error:
            fail_served(flow, exchange, error)
        return None

    async def _say_in_a_thread(self, flow: http.HTTPFlow, exchange: Exchange, status: int, body: bytes) -> None:
        try:
            self._say(flow, exchange, await apart(partial(_said, exchange, status, body)))
        except Exception as error:
            fail_served(flow, exchange, error)

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

    def _say(self, flow: http.HTTPFlow, exchange: Exchange, said: Said) -> None:
        assert flow.response
        exchange.usage = said.usage
        self._keep(exchange, said.choices)
        headers = Headers((JSON, *flow.response.headers.fields, *said.headers))
        convert.answer(flow, Response(status=200, headers=headers, body=said.body))


def _said(exchange: Exchange, status: int, body: bytes) -> Said:
    """What an answer becomes; it changes nothing, and may be asked for in a thread."""
    try:
        return _read(exchange, status, body)
    except GatewayError as error:
        raise hide(exchange.secrets, error) from None


def _read(exchange: Exchange, status: int, body: bytes) -> Said:
    prepared = exchange.prepared
    assert prepared is not None
    if status >= _REFUSALS:
        body = mask(exchange.secrets, body)
    if prepared.whole is not None:
        return prepared.whole.said(status, exchange.answered, body, exchange.read_beside)
    if prepared.native is not None and prepared.native.refused is not None:
        raise prepared.native.refused(status, exchange.answered, body)
    translation = prepared.translation
    assert translation is not None
    if status >= _REFUSALS:
        raise translation.error(status, exchange.answered, body)
    rendered, answer = translation.response(body)
    return Said(body=rendered, usage=answer.usage, choices=answer.choices)


def fail_served(flow: http.HTTPFlow, exchange: Exchange, error: Exception) -> None:
    """Answer with a refusal that says who served, as the answer would have."""
    assert flow.response
    told = tuple(field for field in flow.response.headers.fields if field[0].startswith(b"x-llmauth-"))
    fail(flow, exchange, error)
    flow.response.headers.fields += told


def check_head(status: int, index: Mapping[bytes, Sequence[bytes]]) -> None:
    """BrokenAnswer where the body is none that could be translated, whatever it says."""
    if status not in GOOD and status < _REFUSALS:
        raise BrokenAnswer("The provider led elsewhere, where nobody follows.")
    if index.get(b"content-encoding", (b"identity",))[0].lower() not in (b"", b"identity"):
        raise BrokenAnswer("The provider compressed its answer, though it was asked not to.")


def _begin(response: http.Response, exchange: Exchange, prepared: Prepared) -> None:
    index = Headers(response.headers.fields).index()
    served = ((b"x-llmauth-served-by", prepared.route.instance.encode()), *_named(exchange, index))
    if prepared.passes and not _is_refused_in_other_words(response, prepared):
        response.headers.fields = (*_without(response, _OURS), *served)
        if prepared.native is not None and prepared.native.unwraps and _is_stream(index):
            _stream(response, exchange, prepared, (*_without(response, _OF_FRAMES), *_SSE))
        return
    exchange.provider_request_id = _first(index, _IDS)
    told = (*served, *_dropped(prepared))
    check_head(response.status_code, index)
    translation = prepared.translation
    if response.status_code < _REFUSALS and translation is not None and translation.request.stream:
        if response.status_code != _OK or not _is_stream(index):
            raise BrokenAnswer("The provider was asked for a stream, and answered with something else.")
        _stream(response, exchange, prepared, (*_SSE, *told))
        return
    exchange.whole = True
    exchange.answered = Headers(response.headers.fields)
    response.headers.fields = told
    response.stream = False


def _named(exchange: Exchange, index: Mapping[bytes, Sequence[bytes]]) -> tuple[Field, ...]:
    """Anthropic's SDKs read the id of an answer where Anthropic tells it; the name that we tell it by is OpenAI's."""
    if exchange.shape.name != ANTHROPIC.name or b"request-id" in index:
        return ()
    return ((b"request-id", exchange.context.request_id.encode()),)


def _is_refused_in_other_words(response: http.Response, prepared: Prepared) -> bool:
    foreign = prepared.native is not None and prepared.native.refused is not None
    return foreign and response.status_code >= _REFUSALS


def _stream(response: http.Response, exchange: Exchange, prepared: Prepared, fields: tuple[Field, ...]) -> None:
    response.headers.fields = fields
    response.stream = True
    exchange.stream = prepared.stream(exchange.secrets)


# What we say; a provider that is a gateway like this one says it as well.
_OURS = frozenset({b"x-llmauth-served-by"})
# What a head says of the frames that are taken off.
_OF_FRAMES = frozenset({b"content-type", b"content-length", b"transfer-encoding", b"cache-control"})


def _without(response: http.Response, names: frozenset[bytes]) -> tuple[Field, ...]:
    return tuple(field for field in response.headers.fields if field[0].lower() not in names)


def _is_stream(index: Mapping[bytes, Sequence[bytes]]) -> bool:
    return index.get(b"content-type", (b"",))[0].lower().startswith(_STREAMS)


# A client that makes up hundreds of names is told the first.
_LISTED = 50


def _dropped(prepared: Prepared) -> tuple[Field, ...]:
    # A client chose them: what is no plain character would be the end of the header.
    listed = ", ".join(shown(name) for name in prepared.dropped[:_LISTED])
    names = "".join(c if " " <= c <= "~" else "?" for c in listed)
    return ((b"x-llmauth-dropped", names.encode("ascii", "replace")),) if names else ()


def _first(index: Mapping[bytes, Sequence[bytes]], names: Sequence[bytes]) -> str | None:
    found = next((index[name][0] for name in names if name in index), None)
    return None if found is None else found[:200].decode("ascii", "replace")
