"""What a provider refused, in neutral words: by header, by body, by status."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmauth.codecs.aws_exceptions import of_stream
from llmauth.framing.eventstream import Message
from llmauth.http import Headers
from tests.llmauth.codecs.converse.goldens import provider

TABLE = [
    ("ValidationException", 400, "invalid_request", 400),
    ("ServiceQuotaExceededException", 400, "quota", 429),
    ("ConflictException", 400, "conflict", 409),
    ("AccessDeniedException", 403, "permission", 403),
    ("ResourceNotFoundException", 404, "not_found", 404),
    ("ModelTimeoutException", 408, "timeout", 504),
    ("ModelErrorException", 424, "server", 500),
    ("ModelStreamErrorException", 424, "server", 500),
    ("ThrottlingException", 429, "rate_limited", 429),
    ("ModelNotReadyException", 429, "overloaded", 503),
    ("InternalServerException", 500, "server", 500),
    ("ServiceUnavailableException", 503, "overloaded", 503),
]


def error(status=400, name=None, body=b'{"message":"m"}', **headers):
    fields = [(key.replace("_", "-").encode(), value.encode()) for key, value in headers.items()]
    if name is not None:
        fields.append((b"x-amzn-ErrorType", name.encode()))
    return provider().parse_error(status, Headers(fields), body)


def exception(name, payload):
    return of_stream(Message({":message-type": "exception", ":exception-type": name}, payload))


@pytest.mark.parametrize(("name", "status", "cause", "told"), TABLE)
@pytest.mark.parametrize("form", ["{}", "{}:http://internal.amazon.com/coral/", "com.amazon.coral.service#{}"])
def test_by_the_name_in_the_header(name, status, cause, told, form):
    found = error(status, form.format(name))
    assert (found.cause, found.status, found.message) == (cause, told, "m")


@pytest.mark.parametrize("member", ["__type", "code"])
def test_by_the_name_in_the_body(member):
    body = json.dumps({member: "com.amazon#ModelNotReadyException", "Message": "warming"}).encode()
    found = error(429, None, body)
    assert (found.cause, found.message) == ("overloaded", "warming")


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        (400, "invalid_request"),
        (401, "server"),
        (403, "permission"),
        (404, "not_found"),
        (408, "timeout"),
        (413, "too_large"),
        (418, "invalid_request"),
        (424, "server"),
        (429, "rate_limited"),
        (500, "server"),
        (503, "overloaded"),
        (504, "timeout"),
        (302, "server"),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html>Bad Gateway</html>", b"[]", b'{"message":null}', b'{"message":{"a":1}}'])
def test_by_the_status_where_nothing_else_is_told(status, cause, body):
    found = error(status, None, body)
    assert found.cause == cause
    assert str(status) in found.message


def test_an_end_of_life_keeps_the_words_of_aws():
    words = "This model version has reached the end of its life. Please refer to the AWS documentation."
    found = error(404, "ResourceNotFoundException", json.dumps({"message": words}).encode())
    assert (found.message, found.cause) == (words, "not_found")
    assert "not any more" in found.hint


def test_a_model_that_is_none_is_not_found():
    body = b'{"message":"The provided model identifier is invalid."}'
    assert error(400, "ValidationException", body).cause == "not_found"


def test_when_to_try_again_is_kept_and_nothing_else():
    found = error(429, "ThrottlingException", retry_after="3", retry_after_ms="2500", x_amzn_requestid="r")
    assert found.kept == ((b"retry-after", b"3"), (b"retry-after-ms", b"2500"))


@pytest.mark.parametrize("name", ["InvalidSignatureException", "ExpiredTokenException", "UnrecognizedClientException"])
def test_a_fault_of_the_gateways_signature_shows_nothing_of_it(name):
    """AWS answers a wrong signature with the canonical request, and in it the session token."""
    body = b'{"message":"The Canonical String should have been\\nx-amz-security-token:IQoJb3JpZ2luX2VjE"}'
    found = error(403, name, body)
    assert found.cause == "server"
    assert "token" not in found.sentence
    assert "IQoJ" not in found.sentence + found.detail


def test_words_are_cut():
    assert len(error(body=json.dumps({"message": "x" * 5000}).encode()).message) == 1000


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("internalServerException", "server"),
        ("modelStreamErrorException", "server"),
        ("validationException", "invalid_request"),
        ("throttlingException", "rate_limited"),
        ("serviceUnavailableException", "overloaded"),
        ("modelTimeoutException", "timeout"),
        ("exceptionOfNextYear", "server"),
        ("", "server"),
    ],
)
def test_within_a_stream(name, cause):
    assert exception(name, b'{"message":"m"}').cause == cause
    assert exception(name, b"\xff").message


def test_within_a_stream_the_models_own_message_is_better_than_none():
    assert exception("modelStreamErrorException", b'{"originalMessage":"boom"}').message == "boom"


@pytest.mark.parametrize("name", ["InternalServerException", "internalServerException"])
def test_an_error_of_a_stream_is_all_in_its_headers(name):
    headers = {":message-type": "error", ":error-code": name, ":error-message": "Why"}
    refused = of_stream(Message(headers, b""))
    assert (refused.cause, refused.message) == ("server", "Why")
    assert of_stream(Message({**headers, ":error-code": "serviceUnavailableException"}, b"")).cause == "overloaded"


def test_a_fault_of_the_gateways_credential_in_a_stream_shows_nothing_of_it():
    told = exception("expiredTokenException", b'{"message":"IQoJb3JpZ2luX2VjE has expired"}')
    assert told.cause == "server"
    assert "IQoJ" not in told.sentence + told.detail


@settings(max_examples=100, deadline=None)
@given(st.integers(100, 599), st.binary(max_size=40), st.binary(max_size=60))
def test_any_refusal_is_read(status, name, body):
    headers = Headers([(b"x-amzn-errortype", name)])
    assert provider().parse_error(status, headers, body).status >= 400
