"""Refusals as Oracle writes them, ours and its own: `{"code", "message"}`, the request's id in `opc-request-id`."""

from __future__ import annotations

from collections.abc import Mapping

from llmauth.codecs.base import JSON, Rendered, by_class, to_json
from llmauth.codecs.reading import Malformed, Node, parse_fast
from llmauth.codecs.statuses import cause_of, kept
from llmauth.errors import (
    BadRequest,
    Cause,
    Forbidden,
    GatewayError,
    Misdirected,
    NotFound,
    RateLimited,
    Unauthenticated,
    Unavailable,
    UpstreamError,
)
from llmauth.http import Headers

CODES: Mapping[type[GatewayError], str] = {
    GatewayError: "InternalServerError",
    BadRequest: "InvalidParameter",
    Misdirected: "InvalidParameter",
    Unauthenticated: "NotAuthenticated",
    Forbidden: "NotAllowed",
    NotFound: "NotAuthorizedOrNotFound",
    RateLimited: "TooManyRequests",
    Unavailable: "ServiceUnavailable",
}
# Codes that Oracle has a word of its own for.
_BY_CODE = {"insufficient_quota": "LimitExceeded"}

_LONGEST = 1000
_CAUSES: Mapping[str, Cause] = {
    "InvalidParameter": "invalid_request",
    "MissingParameter": "invalid_request",
    "CannotParseRequest": "invalid_request",
    "NotAuthenticated": "permission",
    "NotAllowed": "permission",
    "NotAuthorizedOrNotFound": "not_found",
    "NotFound": "not_found",
    "IncorrectState": "conflict",
    "Conflict": "conflict",
    "PayloadTooLarge": "too_large",
    "LimitExceeded": "quota",
    "QuotaExceeded": "quota",
    "TooManyRequests": "rate_limited",
    "ServiceUnavailable": "overloaded",
    "InternalServerError": "server",
}
# Oracle has no code of its own for what its moderation stops: it is an InvalidParameter that says so.
_MODERATED = "inappropriate content"


class OracleRefusals:
    """The shape that the oci SDK makes its ServiceError of."""

    name = "oracle"

    def render_error(self, error: GatewayError, request_id: str) -> Rendered:
        """`error_code` is ours: the SDK reads `code` and `message`, and lets the rest be."""
        code = _BY_CODE.get(error.code) or by_class(CODES, error)
        body = {"code": code, "message": error.sentence, "error_code": error.code}
        return Rendered(headers=(JSON, (b"opc-request-id", request_id.encode("ascii"))), body=to_json(body))


REFUSALS = OracleRefusals()


def parse_error(status: int, headers: Headers, body: bytes) -> UpstreamError:
    """What Oracle refused; a body that is none of its errors leaves the status to tell."""
    code, message = _told(body)
    return UpstreamError(
        message or f"Oracle answered with status {status}.", cause=_cause(status, code, message), kept=kept(headers)
    )


def failure(code: str, message: str) -> UpstreamError:
    """What an answer of status 200 tells of a failure: in the middle of a stream, or as the way in which it ended."""
    return UpstreamError(message[:_LONGEST] or "Oracle's model failed.", cause=_cause(500, code, message))


def _told(body: bytes) -> tuple[str, str]:
    try:
        error = Node(parse_fast(body))
        return error.text_of("code"), error.text_of("message")[:_LONGEST]
    except Malformed:
        return "", ""


def _cause(status: int, code: str, message: str) -> Cause:
    if _MODERATED in message.lower():
        return "content_filter"
    if code in _CAUSES:
        return _CAUSES[code]
    return cause_of(status)
