"""Refusals as AWS writes them: `{"message"}`, with the exception's name in `x-amzn-errortype`."""

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
    UpstreamTimeout,
)

EXCEPTIONS: Mapping[type[GatewayError], str] = {
    GatewayError: "InternalServerException",
    BadRequest: "ValidationException",
    Misdirected: "ValidationException",
    Unauthenticated: "UnrecognizedClientException",
    Forbidden: "AccessDeniedException",
    NotFound: "ResourceNotFoundException",
    RateLimited: "ThrottlingException",
    UpstreamTimeout: "ModelTimeoutException",
    Unavailable: "ServiceUnavailableException",
}
# Codes that AWS has an exception of its own for.
_BY_CODE = {"insufficient_quota": "ServiceQuotaExceededException"}


class ConverseRefusals:
    """The shape that botocore and the other AWS SDKs read `Error.Code` and `Error.Message` from."""

    name = "converse"

    def render_error(self, error: GatewayError, request_id: str) -> Rendered:
        """`code` is for people with curl: every AWS SDK takes the header before it looks for a code in the body."""
        name = _BY_CODE.get(error.code) or by_class(EXCEPTIONS, error)
        headers = (JSON, (b"x-amzn-errortype", name.encode("ascii")), (b"x-amzn-requestid", request_id.encode("ascii")))
        return Rendered(headers=headers, body=to_json({"message": error.sentence, "code": error.code}))


REFUSALS = ConverseRefusals()
