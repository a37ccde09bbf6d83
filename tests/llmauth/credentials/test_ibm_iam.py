"""IBM's token service: the real exchange with the emulated one, and every answer that gives no token."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from llmauth.addresses import HostPort
from llmauth.credentials.ibm_iam import HOST, IbmIam
from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from llmauth.outbound import Answer, Outbound
from llmauth.secrets import ApiKey, Secret
from llmauth.sources import SourceFailed


@pytest.fixture(scope="module")
def emulators() -> Iterator[Emulators]:
    with Emulators(pace=0.0) as running:
        yield running


@pytest.fixture
def iam(emulators: Emulators) -> IbmIam:
    emulators.clear()
    return IbmIam(Outbound(ca_file=emulators.ca_file, resolve={HOST: HostPort("127.0.0.1", emulators.port)}))


def test_a_good_key_gives_a_token_of_an_hour(emulators: Emulators, iam: IbmIam) -> None:
    token, life = iam.token(ApiKey(value=Secret(emulators.credentials.ibm_api_key)))
    assert emulators.ibm_tokens.are_good(token.reveal())
    assert life == 3600.0
    (seen,) = emulators.requests(HOST)
    assert seen.body.startswith(b"grant_type=urn%3Aibm%3Aparams%3Aoauth%3Agrant-type%3Aapikey&apikey=")
    assert seen.values("host") == [HOST.encode()]


def test_a_wrong_key_is_refused_with_ibms_code_and_nothing_of_the_key(iam: IbmIam) -> None:
    with pytest.raises(SourceFailed) as caught:
        iam.token(ApiKey(value=Secret("canary-7f3a")))
    assert caught.value.reason == "IBM IAM refused the API key: BXNIM0415E"


def test_a_service_that_fails_did_not_refuse(emulators: Emulators, iam: IbmIam) -> None:
    emulators.behave(HOST, Behaviour(status=503))
    with pytest.raises(SourceFailed, match="IBM IAM gave no token: BXNIM0001E"):
        iam.token(ApiKey(value=Secret(emulators.credentials.ibm_api_key)))


class Said(Outbound):
    """A service that says what it is told to."""

    def __init__(self, status: int, body: bytes) -> None:
        self.said = Answer(status=status, body=body)

    def post_form(self, host: str, path: str, form: Any) -> Answer:
        return self.said


GOOD = {"access_token": "canary-7f3a", "expires_in": 3600}


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (200, b"", "no JSON object"),
        (200, b"[]", "no JSON object"),
        (200, b'{"a":' * 100_000, "no JSON object"),
        (200, b"\xff", "no JSON object"),
        (200, json.dumps({"expires_in": 3600}).encode(), "without a token"),
        (200, json.dumps({**GOOD, "access_token": ""}).encode(), "without a token"),
        (200, json.dumps({**GOOD, "access_token": "canary-7f3a\r\nX: y"}).encode(), "without a token"),
        (200, json.dumps({**GOOD, "access_token": 7}).encode(), "without a token"),
        (200, json.dumps({**GOOD, "expires_in": None}).encode(), "without the life"),
        (200, json.dumps({**GOOD, "expires_in": 0}).encode(), "without the life"),
        (200, json.dumps({**GOOD, "expires_in": True}).encode(), "without the life"),
        (200, json.dumps({**GOOD, "expires_in": "3600"}).encode(), "without the life"),
        (200, json.dumps({**GOOD, "expires_in": 10**9}).encode(), "without the life"),
        (200, json.dumps({**GOOD, "expires_in": float("nan")}).encode(), "without the life"),
        (302, b"", "gave no token: status 302"),
        (400, b'{"errorCode": "canary 7f3a"}', "refused the API key: status 400"),
        (400, b'{"errorCode": ["canary-7f3a"]}', "refused the API key: status 400"),
        (401, b"canary-7f3a", "refused the API key: status 401"),
        (429, b"<html>canary-7f3a</html>", "gave no token: status 429"),
    ],
)
def test_no_other_answer_is_a_token(status: int, body: bytes, reason: str) -> None:
    with pytest.raises(SourceFailed, match=reason) as caught:
        IbmIam(Said(status, body)).token(ApiKey(value=Secret("k")))
    assert "canary" not in caught.value.reason


def test_the_good_one_is() -> None:
    """So that the table above refuses for its own reasons."""
    assert IbmIam(Said(200, json.dumps(GOOD).encode())).token(ApiKey(value=Secret("k"))) == (
        Secret("canary-7f3a"),
        3600.0,
    )
