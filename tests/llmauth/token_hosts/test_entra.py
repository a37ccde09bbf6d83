"""Microsoft Entra, as MSAL asks it."""

from __future__ import annotations

import json

import pytest

from llmauth.authenticators.tokens import Tokens
from llmauth.codecs.base import refuse
from llmauth.errors import BadRequest, NotFound, Unauthenticated
from llmauth.token_hosts.entra import Entra, EntraRefusals
from tests.llmauth.token_hosts.conftest import ALICE, Ask

HOST = "login.microsoftonline.com"
TENANT = "00000000-0000-0000-0000-000000000001"
PATH = f"/{TENANT}/oauth2/v2.0/token"


@pytest.mark.parametrize("proof", [{"client_secret": "placeholder"}, {"client_assertion": "theirs"}])
def test_a_secret_or_an_assertion_becomes_a_token(ask: Ask, tokens: Tokens, proof: dict[str, str]) -> None:
    request = ask(HOST, PATH, {"grant_type": "client_credentials", "client_id": "app", "scope": "s", **proof})
    said = json.loads(Entra().answer(request, ALICE, tokens).body)
    assert tokens.read(said["access_token"])[0] == ALICE
    assert (said["token_type"], said["expires_in"], said["ext_expires_in"]) == ("Bearer", 3600, 3600)


@pytest.mark.parametrize("host", [HOST, "login.microsoftonline.us"])
def test_what_msal_reads_first_leads_back_to_the_same_host(ask: Ask, tokens: Tokens, host: str) -> None:
    path = f"/{TENANT}/v2.0/.well-known/openid-configuration"
    tenant = json.loads(Entra().answer(ask(host, path, method="GET"), ALICE, tokens).body)
    assert tenant["token_endpoint"] == f"https://{host}{PATH}"
    assert tenant["issuer"] == f"https://{host}/{TENANT}/v2.0"
    path = "/common/discovery/instance?api-version=1.1&authorization_endpoint=https://elsewhere.example/x"
    about = json.loads(Entra().answer(ask(host, path, method="GET"), ALICE, tokens).body)
    assert about["metadata"][0]["aliases"] == [host]
    assert "elsewhere" not in json.dumps(about)


@pytest.mark.parametrize("grant", ["password", "authorization_code", "refresh_token", ""])
def test_other_grants_are_refused(ask: Ask, tokens: Tokens, grant: str) -> None:
    with pytest.raises(BadRequest):
        Entra().answer(ask(HOST, PATH, {"grant_type": grant}), ALICE, tokens)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", PATH),
        ("POST", f"/{TENANT}/oauth2/token"),
        ("POST", f"/{TENANT}/oauth2/v2.0/devicecode"),
        ("POST", f"/a/{TENANT}/oauth2/v2.0/token"),
        ("POST", "//oauth2/v2.0/token"),
        ("POST", "/a%2fb/oauth2/v2.0/token"),
        ("POST", "/-/oauth2/v2.0/token"),
        ("POST", "/common/discovery/instance"),
        ("GET", f"/{TENANT}/discovery/v2.0/keys"),
    ],
)
def test_nothing_else_is_there(ask: Ask, tokens: Tokens, method: str, path: str) -> None:
    with pytest.raises(NotFound):
        Entra().answer(ask(HOST, path, method=method), ALICE, tokens)


def test_a_refusal_is_microsofts() -> None:
    said = json.loads(refuse(Unauthenticated("No."), EntraRefusals(), "req_1").body)
    assert (said["error"], said["error_description"]) == ("invalid_client", "No.")
    assert (said["error_codes"], said["correlation_id"]) == ([], "req_1")


@pytest.mark.parametrize(
    ("provider_host", "host"),
    [
        ("resource.openai.azure.com", HOST),
        ("resource.openai.azure.us", "login.microsoftonline.us"),
        ("resource.openai.azure.cn", "login.partner.microsoftonline.cn"),
        ("llm.corp.example", HOST),
    ],
)
def test_each_cloud_has_its_host(provider_host: str, host: str) -> None:
    assert Entra().hosts(None, provider_host) == {host}
