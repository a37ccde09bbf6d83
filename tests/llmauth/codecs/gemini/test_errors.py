"""Google's error object, member by member."""

import json

import pytest

from llmauth import errors
from llmauth.codecs.gemini.errors import LISTED_REFUSALS, REFUSALS


@pytest.mark.parametrize(
    ("error", "code", "status", "reason"),
    [
        (errors.BadRequest("m"), 400, "INVALID_ARGUMENT", "BAD_REQUEST"),
        (errors.BodyTooLarge("m"), 413, "INVALID_ARGUMENT", "REQUEST_TOO_LARGE"),
        (errors.Unauthenticated("m"), 401, "UNAUTHENTICATED", "INVALID_API_KEY"),
        (errors.Forbidden("m", code="model_not_allowed"), 403, "PERMISSION_DENIED", "MODEL_NOT_ALLOWED"),
        (errors.UnknownInstance("m"), 404, "NOT_FOUND", "INSTANCE_NOT_FOUND"),
        (errors.RateLimited("m"), 429, "RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED"),
        (errors.Misdirected("m"), 421, "INVALID_ARGUMENT", "MISDIRECTED"),
        (errors.NoCredential("m"), 500, "INTERNAL", "CREDENTIAL_UNAVAILABLE"),
        (errors.CredentialRejected("m"), 502, "INTERNAL", "CREDENTIAL_REJECTED"),
        (errors.UpstreamUnreachable("m"), 502, "UNAVAILABLE", "PROVIDER_UNREACHABLE"),
        (errors.UpstreamTimeout("m"), 504, "DEADLINE_EXCEEDED", "PROVIDER_TIMEOUT"),
        (errors.Draining("m"), 503, "UNAVAILABLE", "DRAINING"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_code_status_and_reason(error, code, status, reason):
    wanted = {
        "error": {
            "code": code,
            "message": "m",
            "status": status,
            "details": [
                {
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": reason,
                    "domain": "llmauth",
                    "metadata": {"code": error.code, "requestId": "req-1"},
                }
            ],
        }
    }
    assert json.loads(REFUSALS.render_error(error, "req-1").body) == wanted
    assert json.loads(LISTED_REFUSALS.render_error(error, "req-1").body) == [wanted]
