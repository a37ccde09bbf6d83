"""Refusals as OpenAI writes them: `{"error": {"message", "type", "param", "code"}}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmauth.codecs.base import JSON, Rendered, by_class, to_json
from llmauth.errors import (
    BadRequest,
    Cause,
    Forbidden,
    GatewayError,
    Misdirected,
    NotFound,
    RateLimited,
    Unauthenticated,
    UpstreamError,
)

TYPES: Mapping[type[GatewayError], str] = {
    GatewayError: "server_error",
    BadRequest: "invalid_request_error",
    Misdirected: "invalid_request_error",
    Unauthenticated: "invalid_request_error",
    Forbidden: "invalid_request_error",
    NotFound: "invalid_request_error",
    RateLimited: "rate_limit_error",
}

# What a provider refused, by its cause; status and code are the error's own.
CAUSES: Mapping[Cause, str] = {
    "invalid_request": "invalid_request_error",
    "content_filter": "invalid_request_error",
    "permission": "invalid_request_error",
    "not_found": "invalid_request_error",
    "conflict": "invalid_request_error",
    "too_large": "invalid_request_error",
    "rate_limited": "rate_limit_error",
    "quota": "insufficient_quota",
    "overloaded": "server_error",
    "timeout": "server_error",
    "server": "server_error",
}


def error_fields(error: GatewayError) -> dict[str, Any]:
    """The members that OpenAI defines, as they stand in an answer's body and in a stream."""
    kind = CAUSES[error.cause] if isinstance(error, UpstreamError) else by_class(TYPES, error)
    return {"message": error.sentence, "type": kind, "param": error.param, "code": error.code}


class OpenAIRefusals:
    """The shape that the official openai clients raise their typed exceptions from."""

    name = "openai"

    def render_error(self, error: GatewayError, request_id: str) -> Rendered:
        """`request_id` stands beside the members that OpenAI defines: its clients keep what they do not know."""
        return Rendered(headers=(JSON,), body=to_json({"error": {**error_fields(error), "request_id": request_id}}))


REFUSALS = OpenAIRefusals()
