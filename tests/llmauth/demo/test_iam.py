"""The emulated IAM: what it takes for a key and a form, and what it gives."""

from __future__ import annotations

import base64
import json
from urllib.parse import urlencode

import pytest

from llmauth.clock import ManualClock
from llmauth.demo.emulators import Emulators
from llmauth.demo.iam import HOST, Tokens
from tests.llmauth.demo.wire import Reply, call

GRANT = "urn:ibm:params:oauth:grant-type:apikey"
FORM = "application/x-www-form-urlencoded"


def post(emulators: Emulators, body: str, **headers: str) -> Reply:
    named = {"Content-Type": FORM, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return call(emulators, HOST, "POST", "/identity/token", named, body)


def form(emulators: Emulators, **changed: str) -> str:
    return urlencode({"grant_type": GRANT, "apikey": emulators.credentials.ibm_api_key} | changed)


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic Yng6Yng="}], ids=["bare", "as the SDK sends it"])
def test_a_key_becomes_a_token(emulators: Emulators, headers: dict[str, str]) -> None:
    reply = post(emulators, form(emulators), **headers)
    told = reply.json()
    assert (reply.status, told["token_type"], told["expires_in"]) == (200, "Bearer", 3600)
    assert emulators.ibm_tokens.are_good(told["access_token"])
    payload = told["access_token"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims["exp"] == told["expiration"]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"apikey": "wrong"}, "BXNIM0415E"),
        ({"apikey": ""}, "BXNIM0415E"),
        ({"grant_type": "password"}, "BXNIM0108E"),
        ({"scope": "x"}, "BXNIM0109E"),
    ],
)
def test_what_is_no_good_form_is_refused(emulators: Emulators, changed: dict[str, str], code: str) -> None:
    reply = post(emulators, form(emulators, **changed))
    assert (reply.status, reply.json()["errorCode"]) == (400, code)
    assert reply.json()["context"]["requestId"]


def test_a_repeated_property_is_refused(emulators: Emulators) -> None:
    assert post(emulators, f"{form(emulators)}&apikey=x").json()["errorCode"] == "BXNIM0109E"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/json"}, 415),
        ({"Authorization": "Bearer x"}, 401),
        ({"Authorization": "Basic eDp5"}, 401),
        ({"X-API-Key": "k"}, 400),
        ({"X-Mine": "llmauth_abc_def"}, 400),
    ],
)
def test_a_head_that_is_none_of_ibms_is_refused(emulators: Emulators, headers: dict[str, str], status: int) -> None:
    assert post(emulators, form(emulators), **headers).status == status


def test_a_key_of_the_gateway_in_the_form_is_a_leak(emulators: Emulators) -> None:
    assert "leftover" in post(emulators, form(emulators, apikey="llmauth_abc_def")).json()["errorMessage"]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/identity/token"), ("POST", "/identity/token?x=1"), ("POST", "/x")]
)
def test_there_is_one_operation(emulators: Emulators, method: str, path: str) -> None:
    assert call(emulators, HOST, method, path).status == 404


def test_tokens_end_and_are_revoked() -> None:
    clock = ManualClock()
    tokens = Tokens(clock.wall)
    short, long, other = tokens.issue(10), tokens.issue(), tokens.issue()
    assert tokens.are_good(short)
    clock.advance(10)
    assert (tokens.are_good(short), tokens.are_good(long), tokens.are_good("x")) == (False, True, False)
    tokens.revoke(long)
    assert (tokens.are_good(long), tokens.are_good(other)) == (False, True)
