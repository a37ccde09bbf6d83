"""Refusals as OpenAI writes them: `{"error": {"message", "type", "param", "code"}}`."""

from __future__ import annotations

from collections.abc import Mapping

from llmauth.codecs.base import JSON, Rendered, by_class, to_json
from llmauth.errors import BadRequest, Forbidden, GatewayError, Misdirected, NotFound, RateLimited, Unauthenticated

TYPES: Mapping[type[GatewayError], str] = {
    GatewayError: "server_error",
    BadRequest: "invalid_request_error",
    Misdirected: "invalid_request_error",
    Unauthenticated: "invalid_request_error",
    Forbidden: "invalid_request_error",
    NotFound: "invalid_request_error",
    RateLimited: "rate_limit_error",
}


class OpenAIRefusals:
    """The shape that the official openai clients raise their typed exceptions from."""

    name = "openai"

    def render_error(self, error: GatewayError, request_id: str) -> Rendered:
        """`request_id` stands beside the members that OpenAI defines: its clients keep what they do not know."""
        fields = {
            "message": error.sentence,
            "type": by_class(TYPES, error),
            "param": None,
            "code": error.code,
            "request_id": request_id,
        }
        return Rendered(headers=(JSON,), body=to_json({"error": fields}))


REFUSALS = OpenAIRefusals()
