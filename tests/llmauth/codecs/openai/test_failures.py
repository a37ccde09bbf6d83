"""Refusals of providers, told in the shapes that are met, and in none."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmauth.codecs.openai.failures import parse_failure, told_failure
from llmauth.errors import UpstreamError
from llmauth.http import Headers


def failure(status, body, *fields):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return parse_failure(status, Headers(fields), content)


def openai(code=None, kind="invalid_request_error", message="m", param=None):
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


@pytest.mark.parametrize(
    ("status", "body", "cause", "code"),
    [
        (400, openai(), "invalid_request", "invalid_request"),
        (400, openai("context_length_exceeded"), "invalid_request", "context_length_exceeded"),
        (400, openai("something_new"), "invalid_request", "invalid_request"),
        (401, openai("invalid_api_key"), "permission", "permission_denied"),
        (403, openai(), "permission", "permission_denied"),
        (404, openai("model_not_found"), "not_found", "model_not_found"),
        (404, openai(), "not_found", "model_not_found"),
        (409, openai(), "conflict", "conflict"),
        (422, {"detail": "m"}, "invalid_request", "invalid_request"),
        (429, openai("rate_limit_exceeded", "tokens"), "rate_limited", "rate_limit_exceeded"),
        (429, openai("insufficient_quota", "insufficient_quota"), "quota", "insufficient_quota"),
        (429, openai("billing_not_active"), "quota", "insufficient_quota"),
        (500, openai(None, "server_error"), "server", "provider_error"),
        (502, {"error": "m"}, "server", "provider_error"),
        (503, openai(None, "server_error"), "overloaded", "overloaded"),
        (504, {"object": "error", "message": "m", "code": 504}, "timeout", "provider_timeout"),
        # Azure: its front door, a deployment that is not there, and its filter.
        (401, {"error": {"code": "401", "message": "m"}}, "permission", "permission_denied"),
        (429, {"error": {"code": "429", "message": "m"}}, "rate_limited", "rate_limit_exceeded"),
        (401, {"statusCode": 401, "message": "m"}, "permission", "permission_denied"),
        (404, {"error": {"code": "DeploymentNotFound", "message": "m"}}, "not_found", "model_not_found"),
        (
            400,
            {
                "error": {
                    "message": "m",
                    "type": None,
                    "param": "prompt",
                    "code": "content_filter",
                    "status": 400,
                    "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {}},
                }
            },
            "content_filter",
            "content_filter",
        ),
        (
            400,
            {"error": {"message": "m", "code": None, "innererror": {"code": "ResponsibleAIPolicyViolation"}}},
            "content_filter",
            "content_filter",
        ),
    ],
)
def test_causes(status, body, cause, code):
    error = failure(status, body)
    assert (error.cause, error.code, error.message) == (cause, code, "m")


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"null", b'{"error": null}', b'{"error": {"message": 3}}', b"\xff"]
)
def test_no_message(body):
    assert failure(503, body).message == "The provider answered with status 503."


def test_when_to_try_again_is_kept():
    fields = [(b"Retry-After", b"7"), (b"Retry-After-Ms", b"6500"), (b"X-Secret", b"s")]
    assert failure(429, openai(), *fields).kept == tuple(fields[:2])


def test_the_member_at_fault_is_told_and_nothing_is_long():
    error = failure(400, openai(param="messages[0].role" * 50, message="m" * 5000))
    assert error.param is not None
    assert len(error.param) == 200
    assert len(error.message) == 1000


def test_a_failure_in_a_stream_names_its_status_itself():
    assert told_failure({"error": {"code": 429, "message": "m"}}).cause == "rate_limited"
    assert told_failure(openai("context_length_exceeded")).cause == "invalid_request"
    assert told_failure({"error": {"code": "9" * 5000}}).cause == "server"
    assert told_failure({"error": {}}).message == "The provider failed."


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["error", "message", "code", "type", "param", "innererror", "detail"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(300, 599), _JSON | st.binary())
def test_any_answer_is_an_error(status, body):
    assert isinstance(failure(status, body), UpstreamError)
