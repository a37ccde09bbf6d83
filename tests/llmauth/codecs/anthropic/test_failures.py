"""Refusals of Anthropic and Vertex in neutral words."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmauth.codecs.anthropic.failures import parse_error
from llmauth.http import Headers


def error(kind, **more):
    return json.dumps({"type": "error", "error": {"type": kind, "message": "Why", **more}, "request_id": "r"}).encode()


@pytest.mark.parametrize(
    ("status", "kind", "cause"),
    [
        (400, "invalid_request_error", "invalid_request"),
        (401, "authentication_error", "server"),
        (402, "billing_error", "quota"),
        (403, "permission_error", "permission"),
        (404, "not_found_error", "not_found"),
        (409, "conflict_error", "conflict"),
        (413, "request_too_large", "too_large"),
        (429, "rate_limit_error", "rate_limited"),
        (500, "api_error", "server"),
        (504, "timeout_error", "timeout"),
        (529, "overloaded_error", "overloaded"),
        (503, "brand_new_error", "overloaded"),
    ],
)
def test_anthropics_errors(status, kind, cause):
    refused = parse_error(status, Headers(), error(kind))
    assert refused.cause == cause
    assert refused.message == "The provider refused: Why"


def test_a_spend_cap_is_a_quota():
    body = error("rate_limit_error", details={"error_code": "enforced_spend_limit_reached"})
    assert parse_error(429, Headers(), body).cause == "quota"


def test_googles_errors_say_when_to_come_back():
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3.5s"}]
    body = {"error": {"code": 429, "message": "Why", "status": "RESOURCE_EXHAUSTED", "details": details}}
    refused = parse_error(429, Headers(), json.dumps(body).encode())
    assert (refused.cause, refused.kept) == ("rate_limited", ((b"retry-after", b"4"),))


def test_what_tells_when_to_come_back_is_kept_and_nothing_else():
    fields = [(b"Retry-After", b"7"), (b"retry-after-ms", b"7000"), (b"x-secret", b"s"), (b"request-id", b"r")]
    assert parse_error(429, Headers(fields), b"").kept == tuple(fields[:2])


def test_long_messages_are_cut():
    assert len(parse_error(400, Headers(), json.dumps({"message": "x" * 5000}).encode()).message) < 1100


JSONS = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["error", "message", "details", "type", "retryDelay", "error_code"]), inner)
    ),
    max_leaves=8,
)


@given(st.integers(100, 599), st.binary(max_size=30) | JSONS.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_a_refusal(status, body):
    assert parse_error(status, Headers(), body).status >= 400
