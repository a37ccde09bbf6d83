"""Google's OAuth 2.0 and STS, as google-auth asks them."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from llmauth.authenticators.tokens import Tokens
from llmauth.clock import ManualClock
from llmauth.errors import BadRequest, NotFound
from llmauth.token_hosts.base import keys_in
from llmauth.token_hosts.google import Google
from tests.llmauth.token_hosts.conftest import ALICE, Ask

OAUTH, STS, IAM = "oauth2.googleapis.com", "sts.googleapis.com", "iamcredentials.googleapis.com"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"


@pytest.mark.parametrize(
    "form",
    [
        {"grant_type": JWT_BEARER, "assertion": "theirs"},
        {"grant_type": "refresh_token", "refresh_token": "1//x", "client_id": "c", "client_secret": "s"},
    ],
)
def test_an_assertion_or_a_refresh_token_becomes_a_token(ask: Ask, tokens: Tokens, form: dict[str, str]) -> None:
    said = json.loads(Google().answer(ask(OAUTH, "/token", form), ALICE, tokens).body)
    assert tokens.read(said["access_token"])[0] == ALICE
    assert (said["token_type"], said["expires_in"]) == ("Bearer", 3600)
    assert said["id_token"] == said["access_token"]


def test_an_identity_of_another_cloud_becomes_a_token(ask: Ask, tokens: Tokens) -> None:
    request = ask(STS, "/v1/token", {"grant_type": EXCHANGE, "subject_token": "theirs", "audience": "//iam"})
    said = json.loads(Google().answer(request, ALICE, tokens).body)
    assert tokens.read(said["access_token"])[0] == ALICE
    assert said["issued_token_type"] == "urn:ietf:params:oauth:token-type:access_token"


@pytest.mark.parametrize("account", ["app@project-1.iam.gserviceaccount.com", "app%40p.iam.gserviceaccount.com", "117"])
def test_whoever_federated_goes_on_to_a_service_account(
    ask: Ask, tokens: Tokens, clock: ManualClock, account: str
) -> None:
    path = f"/v1/projects/-/serviceAccounts/{account}:generateAccessToken"
    request = ask(IAM, path, b'{"scope":["s"]}', fields=((b"Content-Type", b"application/json"),))
    assert keys_in(Google(), request) == ()
    said = json.loads(Google().answer(request, ALICE, tokens).body)
    assert tokens.read(said["accessToken"])[0] == ALICE
    assert datetime.fromisoformat(said["expireTime"]).timestamp() == clock.wall() + 3600


@pytest.mark.parametrize(
    ("host", "path", "grant"),
    [
        (OAUTH, "/token", EXCHANGE),
        (OAUTH, "/token", "authorization_code"),
        (STS, "/v1/token", JWT_BEARER),
        (OAUTH, "/token", ""),
    ],
)
def test_other_grants_are_refused(ask: Ask, tokens: Tokens, host: str, path: str, grant: str) -> None:
    with pytest.raises(BadRequest):
        Google().answer(ask(host, path, {"grant_type": grant}), ALICE, tokens)


@pytest.mark.parametrize(
    ("host", "path"),
    [
        (OAUTH, "/v1/token"),
        (STS, "/token"),
        (OAUTH, "/revoke"),
        (OAUTH, "/tokeninfo"),
        (IAM, "/token"),
        (IAM, "/v1/projects/-/serviceAccounts/a:signBlob"),
        (IAM, "/v1/projects/-/serviceAccounts/a/b:generateAccessToken"),
        (OAUTH, "/v1/projects/-/serviceAccounts/a:generateAccessToken"),
        ("x.y", "/token"),
    ],
)
def test_nothing_else_is_there(ask: Ask, tokens: Tokens, host: str, path: str) -> None:
    with pytest.raises(NotFound):
        Google().answer(ask(host, path, {"grant_type": JWT_BEARER}), ALICE, tokens)


def test_its_hosts() -> None:
    assert Google().hosts("us-central1", "us-central1-aiplatform.googleapis.com") == {OAUTH, STS, IAM}
