"""What every provider's refusal has in common: what its status means, and what tells when to come back."""

from __future__ import annotations

from collections.abc import Mapping

from llmauth.errors import Cause
from llmauth.http import Field, Headers

CAUSES: Mapping[int, Cause] = {
    401: "permission",
    402: "quota",
    403: "permission",
    404: "not_found",
    408: "timeout",
    409: "conflict",
    413: "too_large",
    429: "rate_limited",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",  # Anthropic's own, which others took up
}
_KEPT = frozenset({b"retry-after", b"retry-after-ms"})


def cause_of(status: int) -> Cause:
    """What a status means where the body tells nothing more."""
    return CAUSES.get(status) or ("invalid_request" if 400 <= status < 500 else "server")


def kept(headers: Headers) -> tuple[Field, ...]:
    """The header fields that SDKs read before they try again; they reach the client as they came."""
    return tuple(field for field in headers.fields if field[0].lower() in _KEPT)
