"""Refusals as Google writes them, ours and its own: `{"error": {"code", "message", "status", "details"}}`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llmauth.codecs.base import JSON, Rendered, by_class, to_json
from llmauth.codecs.reading import Malformed, parse_fast
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
    UpstreamTimeout,
    UpstreamUnreachable,
)
from llmauth.http import Field, Headers

# Names of google.rpc.Code.
STATUSES: Mapping[type[GatewayError], str] = {
    GatewayError: "INTERNAL",
    BadRequest: "INVALID_ARGUMENT",
    Misdirected: "INVALID_ARGUMENT",
    Unauthenticated: "UNAUTHENTICATED",
    Forbidden: "PERMISSION_DENIED",
    NotFound: "NOT_FOUND",
    RateLimited: "RESOURCE_EXHAUSTED",
    UpstreamUnreachable: "UNAVAILABLE",
    UpstreamTimeout: "DEADLINE_EXCEEDED",
    Unavailable: "UNAVAILABLE",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GeminiRefusals:
    """The shape that Google's clients raise their typed exceptions from; `listed` where an answer is a JSON array."""

    name: str = "gemini"
    listed: bool = False

    def render_error(self, error: GatewayError, request_id: str) -> Rendered:
        """Our code goes into an ErrorInfo, whose `reason` is "at most 63 characters" of `[A-Z][A-Z0-9_]+[A-Z0-9]`."""
        info = {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": error.code.upper(),
            "domain": "llmauth",
            "metadata": {"code": error.code, "requestId": request_id},
        }
        status = by_class(STATUSES, error)
        body = {"error": {"code": error.status, "message": error.sentence, "status": status, "details": [info]}}
        return Rendered(headers=(JSON,), body=to_json([body] if self.listed else body))


REFUSALS = GeminiRefusals()
LISTED_REFUSALS = GeminiRefusals(listed=True)

# The other way: what its words mean; "resource exhausted" is a rate that was met or a capacity that is shared.
CAUSES: Mapping[str, Cause] = {
    "INVALID_ARGUMENT": "invalid_request",
    "FAILED_PRECONDITION": "invalid_request",
    "OUT_OF_RANGE": "invalid_request",
    "UNIMPLEMENTED": "invalid_request",
    "UNAUTHENTICATED": "permission",
    "PERMISSION_DENIED": "permission",
    "NOT_FOUND": "not_found",
    "ALREADY_EXISTS": "conflict",
    "ABORTED": "conflict",
    "RESOURCE_EXHAUSTED": "rate_limited",
    "UNAVAILABLE": "overloaded",
    "DEADLINE_EXCEEDED": "timeout",
    "CANCELLED": "server",
    "INTERNAL": "server",
    "UNKNOWN": "server",
    "DATA_LOSS": "server",
}
_DELAY = re.compile(r"(\d{1,6}(?:\.\d{1,9})?)s")
_MAX_MESSAGE = 1000


def refusal_of(status: int, headers: Headers, body: bytes) -> UpstreamError:
    """What Google refused with; any body will do."""
    try:
        error = _error_in(parse_fast(body))
    except Malformed:
        error = None
    return _failure(error or {}, status, kept(headers))


def told_failure(value: object) -> UpstreamError | None:
    """The failure that a body or an event of status 200 tells of, `None` where it is none."""
    error = _error_in(value)
    return None if error is None else _failure(error, 500, ())


def _error_in(value: object) -> dict[str, Any] | None:
    """Without `alt=sse` an error stands in an array, as the answers would."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    error = value.get("error") if isinstance(value, dict) else None
    if isinstance(error, str):
        return {"message": error}
    return error if isinstance(error, dict) else None


def _failure(error: dict[str, Any], status: int, again: tuple[Field, ...]) -> UpstreamError:
    message = error.get("message")
    said = message.strip()[:_MAX_MESSAGE] if isinstance(message, str) else ""
    code = error.get("code")
    if status == 500 and type(code) is int:
        status = code
    return UpstreamError(
        said or f"Gemini answered with status {status} and without a reason.",
        cause=_cause(error.get("status"), status),
        kept=again or _retry_after(error.get("details")),
    )


def _cause(word: object, status: int) -> Cause:
    if isinstance(word, str) and word in CAUSES:
        return CAUSES[word]
    return cause_of(status)


def _retry_after(details: object) -> tuple[Field, ...]:
    """`RetryInfo` tells a duration, such as `12s` or `0.5s`; a header tells whole seconds."""
    for detail in details if isinstance(details, list) else ():
        delay = detail.get("retryDelay") if isinstance(detail, dict) else None
        if isinstance(delay, str) and (seconds := _DELAY.fullmatch(delay)):
            return ((b"retry-after", str(math.ceil(float(seconds[1]))).encode("ascii")),)
    return ()
