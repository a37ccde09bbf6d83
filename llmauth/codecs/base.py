"""How a refusal is told: the shape of a protocol for the body, and the headers that every shape shares."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from llmauth.chat.events import Event
from llmauth.chat.messages import ChatRequest, ChatResponse
from llmauth.codecs.mapping import Table
from llmauth.errors import GatewayError, MethodNotAllowed, Unauthenticated, Unavailable, UpstreamError
from llmauth.http import Field, Headers, Response

Value = TypeVar("Value")

JSON = (b"Content-Type", b"application/json")

_CHALLENGES = (b'Basic realm="llmauth"', b'Bearer realm="llmauth"')
# A spent budget is a 429 that no second attempt overcomes; SDKs would try again three times.
_FINAL_CODES = frozenset({"insufficient_quota"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A body, and the headers that belong to its format; `status` where the protocol has one of its own."""

    headers: tuple[Field, ...]
    body: bytes
    status: int | None = None


class RefusalShape(Protocol):
    """The way one protocol writes an error.

    The status of a refusal of ours is never the shape's to choose; a provider's may have another one in each protocol.
    """

    @property
    def name(self) -> str:
        """The protocol's name, for logs."""
        ...

    def render_error(self, error: GatewayError, request_id: str) -> Rendered:
        """Message, code and request id where this protocol has a place for them."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request in a provider's format. `dropped` are the client's names of what was left out."""

    body: bytes
    dropped: tuple[str, ...] = ()
    headers: tuple[Field, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering:
    """What a client codec is told of the answer that it writes: under which id, since when, as which model."""

    id: str  # letters, digits and `_`: the codec puts its protocol's prefix before it
    created: int  # Unix time
    model: str  # what the client asked for
    request: ChatRequest


class StreamDecoder(Protocol):
    """Bytes of a provider's stream to events. Raises nothing: what is broken is a `Failed`, after which it is deaf."""

    def feed(self, data: bytes) -> list[Event]:
        """The events that are complete with these bytes, however they were split."""
        ...

    def close(self) -> list[Event]:
        """The body is over: what was held back, or a `Failed` where the stream had not come to its end."""
        ...


class StreamEncoder(Protocol):
    """Events to bytes of a client's stream."""

    def encode(self, event: Event) -> bytes:
        """What this event writes, maybe nothing. A `Failed` writes the protocol's own error event."""
        ...

    def close(self) -> bytes:
        """The stream is over and did not fail: its last words (`[DONE]`), and what was held back for them."""
        ...


class ClientCodec(Protocol):
    """A wire format that clients speak to us."""

    @property
    def name(self) -> str: ...

    @property
    def shape(self) -> RefusalShape:
        """How refusals are written."""
        ...

    def parse_request(self, body: bytes) -> ChatRequest:
        """BadRequest, naming the member at fault, for what this protocol does not allow or we do not know."""
        ...

    def render_response(self, response: ChatResponse, answering: Answering) -> bytes:
        """The whole answer."""
        ...

    def stream_encoder(self, answering: Answering) -> StreamEncoder:
        """One for each stream."""
        ...


class ProviderCodec(Protocol):
    """A wire format that providers speak; it may know the model, whose family decides how some things are said."""

    @property
    def name(self) -> str: ...

    @property
    def table(self) -> Table:
        """What becomes of every word: `docs/PARAMETERS.md` is written from it."""
        ...

    def render_request(self, request: ChatRequest, *, strict: bool = False) -> Asked:
        """UnsupportedParameter for what must not be left out, and in strict mode for what would be."""
        ...

    def parse_response(self, body: bytes) -> ChatResponse:
        """BrokenAnswer for what is no answer of this format; UpstreamError for one that tells of a failure."""
        ...

    def stream_decoder(self) -> StreamDecoder:
        """One for each stream."""
        ...

    def parse_error(self, status: int, headers: Headers, body: bytes) -> UpstreamError:
        """Any refusal of the provider, whatever its body holds: this never fails."""
        ...


def by_class(table: Mapping[type[GatewayError], Value], error: GatewayError) -> Value:
    """The entry of the error's own class, or of the nearest class it descends from."""
    return next(table[cls] for cls in type(error).__mro__ if cls in table)


def to_json(value: object) -> bytes:
    """Compact JSON in ASCII: text of a client that is no valid UTF-8 stays harmless."""
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def refuse(error: GatewayError, shape: RefusalShape, request_id: str, *, proxy: bool = False) -> Response:
    """The whole answer. `proxy` says that the proxy itself asks for credentials: at CONNECT and on absolute form."""
    rendered = shape.render_error(error, request_id)
    fields = (*rendered.headers, *_shared(error, request_id), *_particular(error, proxy))
    status = rendered.status or _status(error, proxy)
    return Response(status=status, headers=Headers(fields), body=rendered.body)


def _status(error: GatewayError, proxy: bool) -> int:
    return 407 if proxy and isinstance(error, Unauthenticated) else error.status


def _shared(error: GatewayError, request_id: str) -> list[Field]:
    fields = [(b"x-llmauth-fault", error.fault.encode("ascii")), (b"X-Request-Id", request_id.encode("ascii"))]
    if isinstance(error, UpstreamError) and error.code not in _FINAL_CODES:
        fields.extend(error.kept)
    elif error.code in _FINAL_CODES or not error.retryable:
        fields.append((b"x-should-retry", b"false"))
        if error.retry_after is not None:  # for people: a budget that is spent renews at a known moment
            fields.append((b"Retry-After", str(error.retry_after).encode("ascii")))
    elif error.retry_after is not None or isinstance(error, Unavailable):
        # 503 always names a time: without one, clients guess, and all guess the same.
        fields.append((b"Retry-After", str(error.retry_after or 1).encode("ascii")))
    return fields


def _particular(error: GatewayError, proxy: bool) -> list[Field]:
    if isinstance(error, Unauthenticated):
        name = b"Proxy-Authenticate" if proxy else b"WWW-Authenticate"
        return [(name, challenge) for challenge in _CHALLENGES]
    # "The origin server MUST generate an Allow header field in a 405 response" (RFC 9110, 15.5.6).
    return [(b"Allow", ", ".join(error.allow).encode("ascii"))] if isinstance(error, MethodNotAllowed) else []
