"""IBM's error object, member by member."""

import json

import pytest

from llmauth import errors
from llmauth.codecs.watsonx.errors import REFUSALS, parse_error, stopped, told_failure
from llmauth.http import Headers


def test_code_message_trace_and_status():
    rendered = REFUSALS.render_error(errors.CredentialRejected("m", hint="h"), "req-1")
    body = json.loads(rendered.body)
    (error,) = body.pop("errors")
    assert error.pop("more_info").startswith("https://")
    assert error == {"code": "credential_rejected", "message": "m h"}
    assert body == {"trace": "req-1", "status_code": 502}
    assert rendered.headers == ((b"Content-Type", b"application/json"),)


@pytest.mark.parametrize(
    ("status", "body", "cause", "message"),
    [
        (400, b'{"errors":[{"code":"json_type_error","message":"no"}]}', "invalid_request", "no"),
        (401, b'{"errors":[{"code":"authentication_token_not_valid","message":"who?"}]}', "permission", "who?"),
        (404, b'{"errors":[{"code":"model_not_supported","message":"gone"}]}', "not_found", "gone"),
        (403, b'{"errors":[{"code":"token_quota_reached","message":"spent"}]}', "quota", "spent"),
        (429, b'{"errors":[{"code":"new_code","message":"slow"}]}', "rate_limited", "slow"),
        (500, b'{"errors":[]}', "server", "watsonx answered with status 500."),
        (503, b'{"errors":[5]}', "overloaded", "watsonx answered with status 503."),
        (504, b"<html>", "timeout", "watsonx answered with status 504."),
        (422, b'{"errors":[{"code":5,"message":null}]}', "invalid_request", "watsonx answered with status 422."),
        (413, b"[]", "too_large", "watsonx answered with status 413."),
    ],
)
def test_refusals_of_watsonx(status, body, cause, message):
    error = parse_error(status, Headers(), body)
    assert (error.cause, error.message) == (cause, message)


def test_when_to_try_again_is_kept_and_nothing_else():
    fields = [(b"Retry-After", b"7"), (b"x-requests-limit-remaining", b"0"), (b"retry-after-ms", b"7000")]
    error = parse_error(429, Headers(fields), b'{"errors":[{"message":"' + b"x" * 2000 + b'"}]}')
    assert error.kept == (fields[0], fields[2])
    assert len(error.message) == 1000


@pytest.mark.parametrize(
    ("told", "cause"),
    [({"status_code": 429}, "rate_limited"), ({"status_code": 200}, "server"), ({"status_code": "x"}, "server")],
)
def test_a_failure_in_a_stream_may_name_its_status(told, cause):
    assert told_failure(told).cause == cause
    assert stopped().cause == "server"
