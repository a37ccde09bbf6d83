"""IBM Cloud IAM, as ibm-watsonx-ai asks it."""

from __future__ import annotations

import json

import pytest

from llmauth.authenticators.tokens import Tokens
from llmauth.clock import ManualClock
from llmauth.codecs.base import refuse
from llmauth.errors import BadRequest, NotFound, Unauthenticated
from llmauth.token_hosts.iam import Iam, IamRefusals
from tests.llmauth.token_hosts.conftest import ALICE, Ask

HOST, PATH = "iam.cloud.ibm.com", "/identity/token"
GRANT = "urn:ibm:params:oauth:grant-type:"


def test_an_api_key_becomes_a_token(ask: Ask, tokens: Tokens, clock: ManualClock) -> None:
    request = ask(HOST, PATH, {"grant_type": f"{GRANT}apikey", "apikey": "placeholder"})
    said = json.loads(Iam().answer(request, ALICE, tokens).body)
    assert tokens.read(said["access_token"])[0] == ALICE
    assert (said["token_type"], said["expires_in"], said["expiration"]) == ("Bearer", 3600, clock.wall() + 3600)
    assert said["refresh_token"] == "not_supported"


@pytest.mark.parametrize("form", [{"apikey": "x"}, {"grant_type": f"{GRANT}cr-token", "cr_token": "theirs"}])
def test_without_a_grant_and_with_a_compute_resource(ask: Ask, tokens: Tokens, form: dict[str, str]) -> None:
    assert Iam().answer(ask(HOST, PATH, form), ALICE, tokens).status == 200


def test_a_trusted_profile_is_named_in_the_query(ask: Ask, tokens: Tokens) -> None:
    path = f"{PATH}?grant_type=urn%3Aibm%3Aparams%3Aoauth%3Agrant-type%3Aassume&access_token=x&profile_id=p"
    assert Iam().answer(ask(HOST, path), ALICE, tokens).status == 200


@pytest.mark.parametrize("grant", ["password", f"{GRANT}passcode", "refresh_token", ""])
def test_other_grants_are_refused(ask: Ask, tokens: Tokens, grant: str) -> None:
    with pytest.raises(BadRequest):
        Iam().answer(ask(HOST, PATH, {"grant_type": grant, "apikey": "x"}), ALICE, tokens)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", PATH), ("POST", "/v1/apikeys"), ("GET", "/identity/keys"), ("POST", f"{PATH}/")]
)
def test_nothing_else_is_there(ask: Ask, tokens: Tokens, method: str, path: str) -> None:
    with pytest.raises(NotFound):
        Iam().answer(ask(HOST, path, method=method), ALICE, tokens)


def test_a_refusal_is_ibms(ask: Ask) -> None:
    said = json.loads(refuse(Unauthenticated("No."), IamRefusals(), "req_1").body)
    assert said == {"errorCode": "invalid_api_key", "errorMessage": "No.", "context": {"requestId": "req_1"}}


def test_its_host() -> None:
    assert Iam().hosts("us-south", "us-south.ml.cloud.ibm.com") == {HOST}
