"""Refusals as Oracle writes them: `{"code", "message"}`, with the request's id in `opc-request-id`."""

from __future__ import annotations

from collections.abc import Mapping

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
)

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


class OracleRefusals:
    """The shape that the oci SDK makes its ServiceError of."""

    name = "oracle"

    def render_error(self, error: GatewayError, request_id: str) -> Rendered:
        """`error_code` is ours: the SDK reads `code` and `message`, and lets the rest be."""
        code = _BY_CODE.get(error.code) or by_class(CODES, error)
        body = {"code": code, "message": error.sentence, "error_code": error.code}
        return Rendered(headers=(JSON, (b"opc-request-id", request_id.encode("ascii"))), body=to_json(body))


REFUSALS = OracleRefusals()
