"""OpenAI's error object, member by member."""

import json

import pytest

from llmauth import errors
from llmauth.codecs.openai.errors import REFUSALS


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (errors.BadRequest("m"), "invalid_request_error", "bad_request"),
        (errors.BodyTooLarge("m"), "invalid_request_error", "request_too_large"),
        (errors.Unauthenticated("m"), "invalid_request_error", "invalid_api_key"),
        (errors.SecondFactorRequired("m"), "invalid_request_error", "second_factor_required"),
        (errors.Forbidden("m", code="model_not_allowed"), "invalid_request_error", "model_not_allowed"),
        (errors.UnknownModel("m"), "invalid_request_error", "model_not_found"),
        (errors.UnknownInstance("m"), "invalid_request_error", "instance_not_found"),
        (errors.RateLimited("m"), "rate_limit_error", "rate_limit_exceeded"),
        (errors.Misdirected("m"), "invalid_request_error", "misdirected"),
        (errors.NoCredential("m"), "server_error", "credential_unavailable"),
        (errors.CredentialRejected("m"), "server_error", "credential_rejected"),
        (errors.UpstreamTimeout("m"), "server_error", "provider_timeout"),
        (errors.Draining("m"), "server_error", "draining"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_type_and_code(error, kind, code):
    rendered = REFUSALS.render_error(error, "req-1")
    assert json.loads(rendered.body) == {
        "error": {"message": "m", "type": kind, "param": None, "code": code, "request_id": "req-1"}
    }
