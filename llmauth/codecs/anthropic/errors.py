"""Refusals as Anthropic writes them: `{"type": "error", "error": {"type", "message"}, "request_id"}`."""

from __future__ import annotations

from collections.abc import Mapping

from llmauth.codecs.base import JSON, Rendered, by_class, to_json
from llmauth.errors import (
    BadRequest,
    BodyTooLarge,
    Forbidden,
    GatewayError,
    Misdirected,
    NotFound,
    RateLimited,
    Unauthenticated,
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


class AnthropicRefusals:
    """The shape that the official anthropic clients raise their typed exceptions from."""

    name = "anthropic"

    def render_error(self, error: GatewayError, request_id: str) -> Rendered:
        """Our code goes into `details.error_code`, where Anthropic keeps codes of its own."""
        fields = {"type": by_class(TYPES, error), "message": error.sentence, "details": {"error_code": error.code}}
        body = {"type": "error", "error": fields, "request_id": request_id}
        return Rendered(headers=(JSON, (b"request-id", request_id.encode("ascii"))), body=to_json(body))


REFUSALS = AnthropicRefusals()
