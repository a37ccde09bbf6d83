"""Oracle's error object, member by member."""

import json

import pytest

from llmauth import errors
from llmauth.codecs.oracle.errors import REFUSALS, parse_error
from llmauth.http import Headers


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.BadRequest("m"), "InvalidParameter"),
        (errors.BodyTooLarge("m"), "InvalidParameter"),
        (errors.Misdirected("m"), "InvalidParameter"),
        (errors.SecondFactorRequired("m"), "NotAuthenticated"),
        (errors.HostNotServed("m"), "NotAllowed"),
        (errors.UnknownInstance("m"), "NotAuthorizedOrNotFound"),
        (errors.RateLimited("m"), "TooManyRequests"),
        (errors.NoCredential("m"), "InternalServerError"),
        (errors.CredentialRejected("m"), "InternalServerError"),
        (errors.UpstreamTimeout("m"), "InternalServerError"),
        (errors.Draining("m"), "ServiceUnavailable"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_code_message_and_request_id(error, code):
    rendered = REFUSALS.render_error(error, "req-1")
    assert json.loads(rendered.body) == {"code": code, "message": "m", "error_code": error.code}
    assert (b"opc-request-id", b"req-1") in rendered.headers  # where the SDK looks for it


@pytest.mark.parametrize(
    ("status", "body", "cause", "message"),
    [
        (400, b'{"code":"InvalidParameter","message":"no"}', "invalid_request", "no"),
        (400, b'{"code":"LimitExceeded","message":"spent"}', "quota", "spent"),
        (400, b'{"message":"Inappropriate content detected!"}', "content_filter", "Inappropriate content detected!"),
        (401, b'{"code":"NotAuthenticated","message":"who?"}', "permission", "who?"),
        (404, b'{"code":"NotAuthorizedOrNotFound","message":"gone"}', "not_found", "gone"),
        (409, b'{"code":"IncorrectState","message":"later"}', "conflict", "later"),
        (413, b"", "too_large", "Oracle answered with status 413."),
        (429, b'{"code":"TooManyRequests","message":null}', "rate_limited", "Oracle answered with status 429."),
        (500, b'{"code":5}', "server", "Oracle answered with status 500."),
        (503, b"<html>", "overloaded", "Oracle answered with status 503."),
        (418, b"[]", "invalid_request", "Oracle answered with status 418."),
        (504, b"\xff", "timeout", "Oracle answered with status 504."),
    ],
)  # fmt: skip
def test_refusals_of_oracle(status, body, cause, message):
    error = parse_error(status, Headers(), body)
    assert (error.cause, error.message) == (cause, message)


def test_when_to_try_again_is_kept_and_nothing_else():
    fields = [(b"Retry-After", b"7"), (b"opc-request-id", b"x"), (b"retry-after-ms", b"7000")]
    error = parse_error(429, Headers(fields), b'{"code":"TooManyRequests","message":"' + b"x" * 2000 + b'"}')
    assert error.kept == (fields[0], fields[2])
    assert len(error.message) == 1000
