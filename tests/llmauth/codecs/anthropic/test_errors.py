"""Anthropic's error object, member by member."""

import json

import pytest

from llmauth import errors
from llmauth.codecs.anthropic.errors import REFUSALS
from llmauth.codecs.base import refuse


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


@pytest.mark.parametrize(
    ("cause", "status", "kind"),
    [
        ("invalid_request", 400, "invalid_request_error"),
        ("content_filter", 400, "invalid_request_error"),
        ("permission", 403, "permission_error"),
        ("not_found", 404, "not_found_error"),
        ("conflict", 409, "invalid_request_error"),
        ("too_large", 413, "request_too_large"),
        ("rate_limited", 429, "rate_limit_error"),
        ("quota", 429, "rate_limit_error"),
        ("overloaded", 529, "overloaded_error"),
        ("timeout", 504, "timeout_error"),
        ("server", 500, "api_error"),
    ],
)
def test_what_a_provider_refused(cause, status, kind):
    refused = refuse(errors.UpstreamError("m", cause=cause), REFUSALS, "req-1")
    assert refused.status == status
    assert json.loads(refused.body)["error"]["type"] == kind


def test_a_spent_quota_is_not_tried_again_and_a_limit_says_when():
    kept = ((b"retry-after", b"3"),)
    spent = refuse(errors.UpstreamError("m", cause="quota", kept=kept), REFUSALS, "r").headers
    assert (spent.get("x-should-retry"), spent.get("retry-after")) == ("false", None)
    assert refuse(errors.UpstreamError("m", cause="rate_limited", kept=kept), REFUSALS, "r").headers.get("retry-after")
