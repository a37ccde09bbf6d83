"""Which addresses are Google's token services, what is told of a refusal, and one limit for all calls of a load."""

from __future__ import annotations

import json
import time

import pytest

from llmauth.credentials.google.calls import Calls, code_of, impersonated, service_of
from llmauth.outbound import Answer
from llmauth.sources import SourceFailed
from tests.emulators.google_sts import TARGET, TOKEN_URI, impersonation_url, leading


@pytest.mark.parametrize(
    ("url", "service"),
    [
        (TOKEN_URI, "Google's token endpoint"),
        ("https://accounts.google.com/o/oauth2/token", "Google's token endpoint"),
        ("https://www.googleapis.com/oauth2/v4/token", "Google's token endpoint"),
        ("https://sts.googleapis.com/v1/token", "Google STS"),
        ("https://sts.europe-west3.rep.googleapis.com/v1/token", "Google STS"),
        ("https://sts-corp.p.googleapis.com/v1/token", "Google STS"),
        (impersonation_url(), "Google IAM"),
        (impersonation_url("ä@x"), None),
        ("https://sts.mtls.googleapis.com/v1/token", None),
        ("https://sts.a.b.rep.googleapis.com/v1/token", None),
        ("https://googleapis.com/v1/token", None),
        ("https://sts.googleapis.com/v1/token/", None),
        ("", None),
    ],
)
def test_addresses(url: str, service: str | None) -> None:
    assert service_of(url) == service


def test_who_is_impersonated() -> None:
    assert impersonated(impersonation_url()) == TARGET


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"error": "invalid_grant", "error_description": "canary-7f3a"}, "invalid_grant"),
        ({"error": "invalid_grant", "error_subtype": "invalid_rapt"}, "invalid_grant, invalid_rapt"),
        ({"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "canary-7f3a"}}, "PERMISSION_DENIED"),
        ({"error": "canary 7f3a"}, "status 400"),
        ({"error": ["canary-7f3a"]}, "status 400"),
        ({"error": {"status": {"canary": 1}}}, "status 400"),
        ({}, "status 400"),
        (["canary-7f3a"], "status 400"),
        ("x" * 65, "status 400"),
    ],
)
def test_a_code_is_told_and_no_text(body: object, code: str) -> None:
    assert code_of(Answer(status=400, body=json.dumps(body).encode())) == code


@pytest.mark.parametrize("body", [b"", b"\xff\xff", b"[" * 100_000])
def test_no_json_is_told_by_the_status(body: bytes) -> None:
    assert code_of(Answer(status=502, body=body)) == "status 502"


def test_all_calls_together_have_one_limit(tokens, tmp_path) -> None:
    tokens.fault = "slow"
    calls = Calls(leading(tmp_path, tokens, time_limit=0.6))
    started = time.monotonic()
    for _ in range(3):
        with pytest.raises(SourceFailed, match="did not answer within"):
            calls(TOKEN_URI, "POST", b"x")
    assert time.monotonic() - started < 1.6


def test_an_answer_shows_nothing(tokens, outbound) -> None:
    """R1"""
    reply = Calls(outbound)(
        TOKEN_URI, "POST", _refresh(), {"Content-Type": "application/x-www-form-urlencoded"}, timeout=120
    )
    assert b"access_token" in reply.data
    assert "ya29" not in repr(reply)
    assert reply.headers["content-type"] == "application/json"


def _refresh() -> bytes:
    from urllib.parse import urlencode

    from tests.emulators.google_sts import authorized_user_file

    wanted = ("client_id", "client_secret", "refresh_token")
    info = authorized_user_file()
    return urlencode({"grant_type": "refresh_token"} | {name: info[name] for name in wanted}).encode()
