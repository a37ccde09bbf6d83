"""How a refusal is told: the shape of a protocol for the body, and the headers that every shape shares."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from llmauth.errors import GatewayError, MethodNotAllowed, Unauthenticated, Unavailable
from llmauth.http import Field, Headers, Response

Value = TypeVar("Value")

JSON = (b"Content-Type", b"application/json")

# "The origin server MUST generate an Allow header field in a 405 response" (RFC 9110, 15.5.6).
_ALLOW = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_CHALLENGES = (b'Basic realm="llmauth"', b'Bearer realm="llmauth"')
# A spent budget is a 429 that no second attempt overcomes; SDKs would try again three times.
_FINAL_CODES = frozenset({"insufficient_quota"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A body, and the headers that belong to its format."""

    headers: tuple[Field, ...]
    body: bytes


class RefusalShape(Protocol):
    """The way one protocol writes an error. The status is never the shape's to choose."""

    @property
    def name(self) -> str:
        """The protocol's name, for logs."""
        ...

    def render_error(self, error: GatewayError, request_id: str) -> Rendered:
        """Message, code and request id where this protocol has a place for them."""
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
    return Response(status=_status(error, proxy), headers=Headers(fields), body=rendered.body)


def _status(error: GatewayError, proxy: bool) -> int:
    return 407 if proxy and isinstance(error, Unauthenticated) else error.status


def _shared(error: GatewayError, request_id: str) -> list[Field]:
    fields = [(b"x-llmauth-fault", error.fault.encode("ascii")), (b"X-Request-Id", request_id.encode("ascii"))]
    if error.code in _FINAL_CODES or not error.retryable:
        fields.append((b"x-should-retry", b"false"))
    elif error.retry_after is not None or isinstance(error, Unavailable):
        # 503 always names a time: without one, clients guess, and all guess the same.
        fields.append((b"Retry-After", str(error.retry_after or 1).encode("ascii")))
    return fields


def _particular(error: GatewayError, proxy: bool) -> list[Field]:
    if isinstance(error, Unauthenticated):
        name = b"Proxy-Authenticate" if proxy else b"WWW-Authenticate"
        return [(name, challenge) for challenge in _CHALLENGES]
    return [(b"Allow", _ALLOW)] if isinstance(error, MethodNotAllowed) else []
