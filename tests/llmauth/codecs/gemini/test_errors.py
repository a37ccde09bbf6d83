"""Google's error object, member by member, and what its own errors mean."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmauth import errors
from llmauth.codecs.gemini.errors import LISTED_REFUSALS, REFUSALS, refusal_of, told_failure
from llmauth.http import Headers


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


def body_of(status, **more):
    return json.dumps({"error": {"code": 400, "message": "Why.", "status": status, **more}}).encode()


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        ("INVALID_ARGUMENT", "invalid_request"),
        ("FAILED_PRECONDITION", "invalid_request"),
        ("UNAUTHENTICATED", "permission"),
        ("PERMISSION_DENIED", "permission"),
        ("NOT_FOUND", "not_found"),
        ("RESOURCE_EXHAUSTED", "rate_limited"),
        ("UNAVAILABLE", "overloaded"),
        ("DEADLINE_EXCEEDED", "timeout"),
        ("INTERNAL", "server"),
    ],
)
def test_google_s_words_have_causes(status, cause):
    error = refusal_of(418, Headers(), body_of(status))
    assert (error.message, error.cause) == ("Why.", cause)


@pytest.mark.parametrize(
    ("status", "cause"),
    [(400, "invalid_request"), (413, "too_large"), (429, "rate_limited"), (503, "overloaded"), (502, "server")],
)
@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"{}", b"[]", b"null", b'{"error": []}', b'{"error": {"status": [], "message": 3}}', b"\xff"],
)
def test_any_body_will_do(status, cause, body):
    error = refusal_of(status, Headers(), body)
    assert (error.cause, error.kept) == (cause, ())
    assert str(status) in error.message


def test_an_error_in_an_array_of_one():
    body = b"[" + body_of("NOT_FOUND") + b"]"
    assert refusal_of(404, Headers(), body).message == "Why."


def test_a_long_message_is_cut():
    assert len(refusal_of(400, Headers(), body_of("INVALID_ARGUMENT", message="x" * 5000)).message) == 1000


@pytest.mark.parametrize(("delay", "seconds"), [("12s", b"12"), ("0.5s", b"1"), ("3.000000001s", b"4")])
def test_retry_info_says_when_to_try_again(delay, seconds):
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}]
    error = refusal_of(429, Headers(), body_of("RESOURCE_EXHAUSTED", details=details))
    assert error.kept == ((b"retry-after", seconds),)


@pytest.mark.parametrize(
    "details", [None, 3, [3], [{"retryDelay": 3}], [{"retryDelay": "soon"}], [{"retryDelay": "-1s"}]]
)
def test_what_is_no_delay_is_none(details):
    assert refusal_of(429, Headers(), body_of("RESOURCE_EXHAUSTED", details=details)).kept == ()


def test_a_header_goes_before_retry_info_and_no_other_header_is_kept():
    headers = Headers([(b"Retry-After", b"7"), (b"X-Secret", b"s"), (b"retry-after-ms", b"6500")])
    details = [{"retryDelay": "12s"}]
    error = refusal_of(429, headers, body_of("RESOURCE_EXHAUSTED", details=details))
    assert error.kept == ((b"Retry-After", b"7"), (b"retry-after-ms", b"6500"))


@pytest.mark.parametrize("value", [None, 3, [], {}, {"error": None}, [{"candidates": []}], [{"error": {}}, {}]])
def test_what_tells_of_no_failure(value):
    assert told_failure(value) is None


@settings(max_examples=200, deadline=None)
@given(st.integers(400, 599), st.binary(max_size=40), st.integers(0, 60))
def test_hostile_bodies(status, inserted, place):
    whole = body_of("RESOURCE_EXHAUSTED", details=[{"retryDelay": "12s"}])
    assert refusal_of(status, Headers(), whole[:place] + inserted + whole[place:]).message
    assert refusal_of(status, Headers(), inserted).message
