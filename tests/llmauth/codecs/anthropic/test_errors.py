"""Anthropic's error object, member by member."""

import json

import pytest

from llmauth import errors
from llmauth.codecs.anthropic.errors import REFUSALS


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.BadRequest("m"), "invalid_request_error"),
        (errors.BodyTooLarge("m"), "request_too_large"),
        (errors.SecondFactorRequired("m"), "authentication_error"),
        (errors.HostNotServed("m"), "permission_error"),
        (errors.UnknownInstance("m"), "not_found_error"),
        (errors.RateLimited("m"), "rate_limit_error"),
        (errors.Misdirected("m"), "invalid_request_error"),
        (errors.NoCredential("m"), "api_error"),
        (errors.CredentialRejected("m"), "api_error"),
        (errors.UpstreamTimeout("m"), "timeout_error"),
        (errors.Unavailable("m"), "api_error"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_type_code_and_request_id(error, kind):
    rendered = REFUSALS.render_error(error, "req-1")
    assert json.loads(rendered.body) == {
        "type": "error",
        "error": {"type": kind, "message": "m", "details": {"error_code": error.code}},
        "request_id": "req-1",
    }
    assert (b"request-id", b"req-1") in rendered.headers  # where the SDK looks for it
