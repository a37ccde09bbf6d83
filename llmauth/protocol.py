"""A request of protocol mode made ready: passed where its provider speaks the protocol, translated elsewhere."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llmauth.chat.messages import ChatRequest
from llmauth.chat.thoughts import Thoughts
from llmauth.chat.transforming import Transformation, transformed
from llmauth.codecs.anthropic.codec import MESSAGES
from llmauth.codecs.anthropic.counted import estimated
from llmauth.codecs.anthropic.native import ChunkUnwrapper
from llmauth.codecs.base import JSON, Answering, ClientCodec
from llmauth.codecs.embeddings import translation as embeddings
from llmauth.codecs.embeddings.request import parse_request as parse_embedding_request
from llmauth.codecs.openai.codec import CHAT
from llmauth.codecs.responses.codec import RESPONSES
from llmauth.codecs.splice import asked_in
from llmauth.codecs.whole import Whole
from llmauth.context import Operation, ProtocolRoute, Target, TransparentRoute
from llmauth.errors import BadRequest, MethodNotAllowed
from llmauth.http import Field, Headers, Request, Response
from llmauth.providers.base import ProviderHandler
from llmauth.providers.speaking import Native, is_name, not_offered
from llmauth.storage.key_text import PREFIX
from llmauth.translation import StreamFilter, Translation, begin

CLIENTS: Mapping[Operation, ClientCodec] = {"chat": CHAT, "responses": RESPONSES, "messages": MESSAGES}
"""The client codecs, by what they are asked for: a further one is one line here."""

_JSON: Field = (b"Content-Type", b"application/json")
# What a translated request keeps of the client's head: who it is, and the trace that it belongs to.
_KEPT = frozenset({b"user-agent", b"traceparent", b"tracestate", b"baggage"})
# What of a client's head would be wrong about a body that is written anew.
_OF_THE_BODY = frozenset({b"content-length", b"content-encoding", b"content-md5", b"digest", b"content-digest"})
# What is for the place that the client called, which is us or another provider: a login may hang on it.
_OF_THE_PLACE = frozenset({b"cookie"})
# What it says of answers that it does not get as they come.
_OF_THE_ANSWER = frozenset({b"accept-encoding", b"accept"})
_STREAM_KINDS = b"text/event-stream, application/vnd.amazon.eventstream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What must be known of a body before anybody is chosen to answer it."""

    model: str
    stream: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """All that decides what is sent, beside the request. `id` and `created` (Unix time) are those of the answer."""

    route: ProtocolRoute
    target: Target
    handler: ProviderHandler
    stream: bool
    id: str
    created: int
    owner: str
    transformation: Transformation | None
    thoughts: Thoughts


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The request as it is to be sent, but for its credential; `route` says where to.

    A `translation` is that of a chat; a `native` request passes; `whole` reads an answer that is neither a chat's nor
    the client's. `beside` are further requests to the same place, whose answers belong to this one's.
    """

    request: Request
    route: TransparentRoute
    translation: Translation | None = None
    native: Native | None = None
    whole: Whole | None = None
    beside: embeddings.EmbeddingTranslation | None = None

    @property
    def passes(self) -> bool:
        """Whether the answer goes to the client in the provider's own words."""
        return self.translation is None and self.whole is None

    @property
    def dropped(self) -> tuple[str, ...]:
        """The client's names of what was left out."""
        if self.translation is not None:
            return self.translation.asked.dropped
        return () if self.whole is None else self.whole.dropped

    def stream(self, secrets: Sequence[bytes] = ()) -> StreamFilter:
        """What the answer's stream goes through, where it does not pass as it is."""
        return ChunkUnwrapper(secrets) if self.translation is None else self.translation.stream(secrets)


def asking(route: ProtocolRoute, request: Request) -> Asking:
    """The model and whether a stream is wanted. BadRequest for a body that is no JSON object with a model."""
    if request.method != "POST":
        hint = "Send a POST with a JSON body."
        raise MethodNotAllowed(f"{request.method} is not what this path takes.", hint=hint, allow=("POST",))
    if (coding := request.headers.get("content-encoding")) not in (None, "", "identity"):
        raise BadRequest(f"A body in the coding '{str(coding)[:40]}' cannot be read here.", hint="Send it as it is.")
    model, stream = asked_in(request.body)
    if not model:
        raise BadRequest("The request names no model.", hint="Set 'model' in the body.", param="model")
    if PREFIX in model:  # it would be logged, and sent on
        raise BadRequest("A key of this gateway stands where a model's name belongs.", param="model")
    if not is_name(model):
        raise BadRequest("What 'model' holds is no name of a model.", param="model")
    return Asking(model=model, stream=stream)


def prepare(request: Request, by: Preparation) -> Prepared:
    """The request for its target. BadRequest and UnsupportedParameter name what is at fault."""
    operation, model = by.route.operation, by.target.model
    assert model is not None
    native = by.handler.natively(operation, model, stream=by.stream)
    if native is not None:
        return _passed(request, by, native)
    client = CLIENTS.get(operation)
    if client is not None:
        return _translated(request, client, by, model)
    if operation == "embeddings":
        return _embedding(request, by, model)
    raise not_offered(operation, by.handler.name)


def answered(request: Request, by: Preparation) -> Response | None:
    """An answer of ours where nobody needs to be asked: a count of tokens, estimated where no provider counts."""
    operation, model = by.route.operation, by.target.model
    assert model is not None
    if operation != "count_tokens" or by.handler.natively(operation, model, stream=False) is not None:
        return None
    said = estimated(request.body)
    return Response(status=200, headers=Headers((JSON, *said.headers)), body=said.body)


def _passed(request: Request, by: Preparation, native: Native) -> Prepared:
    as_it_comes = not native.unwraps and native.reads is None and native.refused is None
    left_out = _OF_THE_BODY | _OF_THE_PLACE
    headers = request.headers.without(left_out if as_it_comes else left_out | _OF_THE_ANSWER)
    body = native.rewrite(request.body, request.headers)
    return Prepared(
        request=request.altered(body=body, headers=headers),
        route=_to(by.target, native.path),
        native=native,
        whole=None if native.reads is None else native.reads(request.body),
    )


def _translated(request: Request, client: ClientCodec, by: Preparation, model: str) -> Prepared:
    asked = client.parse_request(request.body)
    answering = Answering(id=by.id, created=by.created, model=asked.model, request=asked)
    sent, dropped = _as_configured(dataclasses.replace(asked, model=model), by.transformation)
    sent = by.thoughts.recall(by.owner, sent)
    translation = begin(
        client, by.handler.codec(model), sent, answering, strict=by.handler.options.strict, dropped=dropped
    )
    accept = _STREAM_KINDS if asked.stream else _JSON[1]
    return Prepared(
        request=_anew(request, translation.asked.body, accept, translation.asked.headers),
        route=_to(by.target, by.handler.locate(model, stream=asked.stream)),
        translation=translation,
    )


def _embedding(request: Request, by: Preparation, model: str) -> Prepared:
    way = by.handler.embeddings(model)
    if way is None:
        raise not_offered("embeddings", by.handler.name)
    asked = parse_embedding_request(request.body)
    strict = by.handler.options.strict
    translation = embeddings.begin(asked, way.format, by.handler.codec(model), strict=strict)
    return Prepared(
        request=_anew(request, translation.pieces[0].body),
        route=_to(by.target, way.path),
        whole=translation,
        beside=translation if len(translation.pieces) > 1 else None,
    )


def _anew(request: Request, body: bytes, accept: bytes = _JSON[1], more: tuple[Field, ...] = ()) -> Request:
    """A request in other words; what it keeps of the client's head is named in `_KEPT`."""
    kept = [field for field in request.headers.fields if field[0].lower() in _KEPT]
    fields = (*kept, _JSON, (b"Accept", accept), (b"Accept-Encoding", b"identity"), *more)
    return request.altered(body=body, headers=Headers(fields))


def _as_configured(request: ChatRequest, by: Transformation | None) -> tuple[ChatRequest, tuple[str, ...]]:
    return (request, ()) if by is None else transformed(request, by)


def _to(target: Target, path: str) -> TransparentRoute:
    return TransparentRoute(instance=target.instance, path=path, native=False)
