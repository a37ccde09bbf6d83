"""Refusals as Anthropic writes them: `{"type": "error", "error": {"type", "message"}, "request_id"}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmauth.codecs.base import JSON, Rendered, by_class, to_json
from llmauth.errors import (
    BadRequest,
    BodyTooLarge,
    Cause,
    Forbidden,
    GatewayError,
    Misdirected,
    NotFound,
    RateLimited,
    Unauthenticated,
    UpstreamError,
    UpstreamTimeout,
)

TYPES: Mapping[type[GatewayError], str] = {
    GatewayError: "api_error",
    BadRequest: "invalid_request_error",
    BodyTooLarge: "request_too_large",
    Misdirected: "invalid_request_error",
    Unauthenticated: "authentication_error",
    Forbidden: "permission_error",
    NotFound: "not_found_error",
    RateLimited: "rate_limit_error",
    UpstreamTimeout: "timeout_error",
}
CAUSES: Mapping[Cause, str] = {
    "invalid_request": "invalid_request_error",
    "content_filter": "invalid_request_error",
    "permission": "permission_error",
    "not_found": "not_found_error",
    "conflict": "invalid_request_error",
    "too_large": "request_too_large",
    "rate_limited": "rate_limit_error",
    # A 402 `billing_error` would tell the caller of a bill that is not its own.
    "quota": "rate_limit_error",
    "overloaded": "overloaded_error",
    "timeout": "timeout_error",
    "server": "api_error",
}
_OVERLOADED = 529


def error_fields(error: GatewayError) -> dict[str, Any]:
    """The inner object; our code goes into `details.error_code`, where Anthropic keeps codes of its own."""
    kind = CAUSES[error.cause] if isinstance(error, UpstreamError) else by_class(TYPES, error)
    return {"type": kind, "message": error.sentence, "details": {"error_code": error.code}}


class AnthropicRefusals:
    """The shape that the official anthropic clients raise their typed exceptions from."""

    name = "anthropic"

    def render_error(self, error: GatewayError, request_id: str) -> Rendered:
        """A provider that is overloaded is a 529 here, which clients know and try again."""
        body = {"type": "error", "error": error_fields(error), "request_id": request_id}
        overloaded = isinstance(error, UpstreamError) and error.cause == "overloaded"
        return Rendered(
            headers=(JSON, (b"request-id", request_id.encode("ascii"))),
            body=to_json(body),
            status=_OVERLOADED if overloaded else None,
        )


REFUSALS = AnthropicRefusals()
