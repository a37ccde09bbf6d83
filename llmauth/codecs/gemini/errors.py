"""Refusals as Google writes them: `{"error": {"code", "message", "status", "details"}}`, `code` being the status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from llmauth.codecs.base import JSON, Rendered, by_class, to_json
from llmauth.errors import (
    BadRequest,
    Forbidden,
    GatewayError,
    Misdirected,
    NotFound,
    RateLimited,
    Unauthenticated,
    Unavailable,
    UpstreamTimeout,
    UpstreamUnreachable,
)

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
