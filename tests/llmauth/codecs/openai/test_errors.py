"""OpenAI's error object, member by member."""

import json
from typing import get_args

import pytest

from llmauth import errors
from llmauth.codecs.openai.errors import CAUSES, REFUSALS


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


@pytest.mark.parametrize(
    ("cause", "status", "kind", "code"),
    [
        ("invalid_request", 400, "invalid_request_error", "invalid_request"),
        ("content_filter", 400, "invalid_request_error", "content_filter"),
        ("permission", 403, "invalid_request_error", "permission_denied"),
        ("not_found", 404, "invalid_request_error", "model_not_found"),
        ("conflict", 409, "invalid_request_error", "conflict"),
        ("too_large", 413, "invalid_request_error", "request_too_large"),
        ("rate_limited", 429, "rate_limit_error", "rate_limit_exceeded"),
        ("quota", 429, "insufficient_quota", "insufficient_quota"),
        ("overloaded", 503, "server_error", "overloaded"),
        ("timeout", 504, "server_error", "provider_timeout"),
        ("server", 500, "server_error", "provider_error"),
    ],
)
def test_what_a_provider_refused(cause, status, kind, code):
    error = errors.UpstreamError("m", cause=cause, param="p")
    fields = json.loads(REFUSALS.render_error(error, "req-1").body)["error"]
    assert (error.status, fields["type"], fields["code"], fields["param"]) == (status, kind, code, "p")


def test_every_cause_has_a_type():
    assert set(CAUSES) == set(get_args(errors.Cause))


def test_the_member_at_fault_is_named():
    error = errors.BadRequest("m", param="messages[1].content[0].type")
    fields = json.loads(REFUSALS.render_error(error, "req-1").body)["error"]
    assert fields["param"] == "messages[1].content[0].type"
