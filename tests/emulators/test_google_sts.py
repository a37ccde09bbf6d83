"""The emulated token services of Google, held to Google's own library, which must be content with what they say."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from llmauth.outbound import Outbound
from tests.e2e.clients.sdks import Sdks
from tests.emulators.google_sts import (
    ACCOUNT,
    AUDIENCE,
    AWS_TYPE,
    CLOUD,
    EXCHANGE_GRANT,
    IAM,
    JWT_GRANT,
    OAUTH,
    POOL_SUBJECT,
    STS,
    TARGET,
    TOKEN_URI,
    USER,
    Directory,
    GoogleTokens,
    authorized_user_file,
    external_account_file,
    impersonation_url,
    leading,
    rsa_key,
    service_account_file,
    signed,
)
from tests.llmauth.demo.clients import ClientProblem, cloud_interpreter

LIBRARY = """
from google.auth import aws, identity_pool
from google.auth.transport.requests import Request
from google.oauth2 import credentials as users, service_account
made = {
    "service_account": service_account.Credentials.from_service_account_info,
    "authorized_user": users.Credentials.from_authorized_user_info,
    "external_account": (aws if "environment_id" in str(info) else identity_pool).Credentials.from_info,
}
credentials = made[info["type"]](info, scopes=[scope])
credentials.refresh(Request())
result = [credentials.token, credentials.expiry.isoformat()]
"""


@pytest.fixture(scope="module")
def sdk() -> Iterator[Sdks]:
    running = Sdks(cloud_interpreter(), "google.auth", "google.auth.transport.requests")
    yield running
    running.close()


@pytest.fixture
def tokens() -> Iterator[GoogleTokens]:
    with GoogleTokens() as running:
        yield running


@pytest.fixture
def library(sdk: Sdks, tokens: GoogleTokens, tmp_path):
    def load(info: dict[str, Any], **environ: str) -> str:
        where = {"REQUESTS_CA_BUNDLE": str(tokens.write_ca(tmp_path)), **environ}
        token, _ = sdk.run(LIBRARY, where, direct_port=tokens.port, info=info, scope=CLOUD)
        assert isinstance(token, str)
        return token

    return load


@pytest.fixture
def pod_token(tokens: GoogleTokens, tmp_path):
    file = tmp_path / "token"
    file.write_text(tokens.directory.subject_token())
    return file


def test_the_library_gets_a_token_for_a_service_account(tokens, library) -> None:
    assert tokens.directory.principal(library(service_account_file())) == ACCOUNT


def test_the_library_gets_a_token_for_a_user(tokens, library) -> None:
    assert tokens.directory.principal(library(authorized_user_file())) == USER


def test_the_library_gets_a_token_for_a_pod(tokens, library, pod_token) -> None:
    assert tokens.directory.principal(library(external_account_file({"file": str(pod_token)}))) == POOL_SUBJECT


def test_the_library_impersonates(tokens, library, pod_token) -> None:
    info = external_account_file({"file": str(pod_token)}, service_account_impersonation_url=impersonation_url())
    assert tokens.directory.principal(library(info)) == TARGET


def test_the_library_gets_a_token_for_keys_of_aws(tokens, library) -> None:
    keys = tokens.directory.aws
    environ = {
        "AWS_ACCESS_KEY_ID": keys.access_key_id,
        "AWS_SECRET_ACCESS_KEY": keys.secret_access_key,
        "AWS_SESSION_TOKEN": keys.session_token,
        "AWS_REGION": "eu-west-1",
    }
    source = {
        "environment_id": "aws1",
        "regional_cred_verification_url": "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
    }
    info = external_account_file(source, subject_token_type=AWS_TYPE)
    assert tokens.directory.principal(library(info, **environ)) == POOL_SUBJECT
    with pytest.raises(ClientProblem, match="UnrecognizedClientException"):
        library(info, **{**environ, "AWS_SESSION_TOKEN": "another"})


def test_the_library_is_refused(tokens, library, pod_token) -> None:
    with pytest.raises(ClientProblem, match="Invalid JWT"):
        library(service_account_file(private_key_id="another"))
    with pytest.raises(ClientProblem, match="invalid_client"):
        library(authorized_user_file(client_secret="another"))
    pod_token.write_text(tokens.directory.subject_token(audience="sts.amazonaws.com"))
    with pytest.raises(ClientProblem, match="audience"):
        library(external_account_file({"file": str(pod_token)}))
    pod_token.write_text(tokens.directory.subject_token(life=-1))
    with pytest.raises(ClientProblem, match="stale"):
        library(external_account_file({"file": str(pod_token)}))


# What no library of Google's would send


@pytest.fixture
def post(tokens, tmp_path):
    outbound: Outbound = leading(tmp_path, tokens)

    def send(host: str, path: str, form: dict[str, str]) -> tuple[int, str]:
        answer = outbound.post_form(host, path, form)
        return answer.status, str(json.loads(answer.body).get("error"))

    return send


def assertion(**changed: Any) -> dict[str, str]:
    now = int(time.time())
    claims = {"iss": ACCOUNT, "aud": TOKEN_URI, "iat": now, "exp": now + 3600, "scope": CLOUD} | changed
    return {"grant_type": JWT_GRANT, "assertion": signed(claims, rsa_key("account"), "key-1")}


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({}, "None"),
        ({"aud": "https://elsewhere.example/token"}, "invalid_grant"),
        ({"exp": int(time.time()) + 7200}, "invalid_grant"),
        ({"iat": 1, "exp": 3601}, "invalid_grant"),
        ({"iss": USER}, "invalid_grant"),
        ({"scope": ""}, "invalid_scope"),
    ],
)
def test_an_assertion_is_looked_at(post, changed, error) -> None:
    assert post(OAUTH, "/token", assertion(**changed))[1] == error


def test_a_signature_is_looked_at(post) -> None:
    form = assertion()
    head, body, signature = form["assertion"].split(".")
    form["assertion"] = ".".join((head, body, signature[:-8] + "AAAAAAAA"))
    assert post(OAUTH, "/token", form) == (400, "invalid_grant")


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({}, "None"),
        ({"grant_type": JWT_GRANT}, "invalid_request"),
        ({"audience": f"{AUDIENCE}-of-others"}, "invalid_target"),
        ({"subject_token": "a.b.c"}, "invalid_grant"),
        ({"subject_token_type": "urn:ietf:params:oauth:token-type:saml2"}, "invalid_request"),
        ({"surprise": "1"}, "invalid_request"),
    ],
)
def test_an_exchange_is_looked_at(post, tokens, changed, error) -> None:
    form = {
        "grant_type": EXCHANGE_GRANT,
        "audience": AUDIENCE,
        "scope": CLOUD,
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "subject_token": tokens.directory.subject_token(),
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
    }
    assert post(STS, "/v1/token", form | changed)[1] == error


def test_a_token_is_known_until_it_ends() -> None:
    now = [1000.0]
    directory = Directory(wall=lambda: now[0])
    token, life = directory.issue(USER, CLOUD)
    assert directory.principal(token) == USER
    assert directory.principal(token, "another scope") is None
    now[0] += life
    assert directory.principal(token) is None


def test_nobody_is_impersonated_without_a_token(tokens, tmp_path) -> None:
    path = impersonation_url().removeprefix(f"https://{IAM}")
    answer = leading(tmp_path, tokens).ask("POST", f"https://{IAM}{path}", {"Content-Type": "application/json"}, b"{}")
    assert (answer.status, json.loads(answer.body)["error"]["status"]) == (401, "UNAUTHENTICATED")
