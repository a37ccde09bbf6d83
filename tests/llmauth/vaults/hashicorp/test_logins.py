"""Each way of logging in, before the emulated Vault, and what its refusal says."""

from __future__ import annotations

from typing import Any

import pytest

from llmauth.demo import sigv4
from llmauth.secrets import AwsKeys, Secret
from llmauth.sources import SourceFailed
from tests.emulators.service import Reply
from tests.emulators.vault import AppRole, Role, VaultEmulator

from .conftest import Standing, asked

PATH = "kv/llm"
KEYS = AwsKeys(access_key_id="AKIAVAULTCALLER00001", secret_access_key=Secret("canary-aws"), session_token=Secret("t"))
SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount/token"


@pytest.fixture(autouse=True)
def everybody(vault: VaultEmulator) -> None:
    """A secret, and a role of each method that may read it."""
    vault.put(PATH, {"api_key": "sk-one"})
    role = Role(policies=["default", "llm"], binds=["llm/llmauth", KEYS.access_key_id])
    vault.kubernetes["llmauth"] = vault.kubernetes["other"] = role
    vault.jwt["llmauth"] = vault.aws["llmauth"] = role
    vault.approle["role-1"] = AppRole(role, {"secret-1": None})
    keys = sigv4.Keys(access_key_id=KEYS.access_key_id, secret_access_key="canary-aws", session_token="t")
    vault.aws_keys[KEYS.access_key_id] = keys


def works(standing: Standing, *given: Any, **more: Any) -> None:
    assert standing(*given, **more).read(PATH).life is None


def refused(standing: Standing, *given: Any, **more: Any) -> str:
    with pytest.raises(SourceFailed) as failure:
        standing(*given, **more).read(PATH)
    assert "canary" not in failure.value.reason
    return failure.value.reason


# ---- token ---------------------------------------------------------------------------------------------------------


def test_a_token_of_each_place(standing: Standing, vault: VaultEmulator) -> None:
    token = vault.token(Role(policies=["default", "llm"]))
    works(standing, {}, {"VAULT_TOKEN": f"{token}\n"})
    works(standing, {}, {"HOME": "/home/app"}, {"/home/app/.vault-token": token})
    works(standing, {"auth": {"method": "token", "token": token}}, {})
    works(standing, {"auth": {"method": "token", "token_file": "~/t"}}, {"HOME": "/home/app"}, {"/home/app/t": token})


def test_a_token_without_the_policy_to_ask_about_itself(standing: Standing, vault: VaultEmulator) -> None:
    works(standing, {}, {"VAULT_TOKEN": vault.token(Role(policies=["llm"]))})


def test_a_root_token_has_no_end(standing: Standing, vault: VaultEmulator) -> None:
    works(standing, {}, {"VAULT_TOKEN": vault.token()})


def test_a_token_that_is_none(standing: Standing, vault: VaultEmulator) -> None:
    assert "gave no secret at kv/llm (HTTP 403)" in refused(standing, {}, {"VAULT_TOKEN": "hvs.canary-7f3a"})
    # The same token would be refused again: it is read once.
    assert asked(vault)[-2:] == ["GET kv/llm", "GET auth/token/lookup-self"]
    assert "VAULT_TOKEN is no token" in refused(standing, {}, {"VAULT_TOKEN": "canary 7f3a"})
    file = {"auth": {"method": "token", "token_file": "/none"}}
    assert "/none is missing, empty or cannot be read" in refused(standing, file, {})


def test_a_token_file_that_an_agent_writes_anew(standing: Standing, vault: VaultEmulator) -> None:
    files = {"/t": vault.token(Role(policies=["default", "llm"]))}
    backend = standing({"auth": {"method": "token", "token_file": "/t"}}, {}, files)
    backend.read(PATH)
    vault.revoke(files["/t"])
    files["/t"] = vault.token(Role(policies=["default", "llm"]))
    assert backend.read(PATH).life is None


# ---- kubernetes ----------------------------------------------------------------------------------------------------


def test_kubernetes_of_a_pod(standing: Standing, vault: VaultEmulator) -> None:
    files = {SERVICE_ACCOUNT: vault.service_account("llm/llmauth")}
    works(standing, {}, {}, files)
    works(standing, {}, {"VAULT_ROLE": "other"}, files)
    works(
        standing,
        {"auth": {"method": "kubernetes", "role": "other", "token_file": "/t"}},
        {},
        {"/t": files.popitem()[1]},
    )
    assert [call.json["role"] for call in vault.calls if "login" in call.path] == ["llmauth", "other", "other"]
    assert not any("x-vault-token" in call.headers for call in vault.calls if "login" in call.path)


def test_kubernetes_refused(standing: Standing, vault: VaultEmulator) -> None:
    auth = {"auth": {"method": "kubernetes"}}
    reason = refused(standing, auth, {}, {SERVICE_ACCOUNT: "eyJ.canary-7f3a.x"})
    assert "refused the login by kubernetes at auth/kubernetes (HTTP 403): the role must exist, and bind" in reason
    reason = refused(standing, {"auth": {"method": "kubernetes", "role": "none"}}, {}, {SERVICE_ACCOUNT: "eyJ"})
    assert "(HTTP 400): the role must exist" in reason
    reason = refused(standing, {"auth": {"method": "kubernetes", "mount": "none"}}, {}, {SERVICE_ACCOUNT: "eyJ"})
    assert "at auth/none (HTTP 403)" in reason
    reason = refused(standing, {"namespace": "nobody", "auth": {"method": "kubernetes"}}, {}, {SERVICE_ACCOUNT: "eyJ"})
    assert "at auth/kubernetes of namespace nobody (HTTP 404)" in reason
    assert "it should hold the token of a service account" in refused(standing, auth, {})


# ---- approle, jwt --------------------------------------------------------------------------------------------------


def test_approle_of_each_place(standing: Standing) -> None:
    works(standing, {}, {"VAULT_ROLE_ID": "role-1", "VAULT_SECRET_ID": "secret-1"})
    works(standing, {"auth": {"method": "approle", "role_id": "role-1", "secret_id": "secret-1"}}, {})
    files = {"auth": {"method": "approle", "role_id_file": "/r", "secret_id_file": "/s"}}
    works(standing, files, {}, {"/r": "role-1", "/s": "secret-1"})
    works(
        standing,
        {"auth": {"method": "approle", "secret_id_file": "/s"}},
        {"VAULT_ROLE_ID": "role-1"},
        {"/s": "secret-1"},
    )


def test_approle_refused(standing: Standing) -> None:
    auth = {"method": "approle", "role_id": "role-1"}
    reason = refused(standing, {"auth": auth | {"secret_id": "canary-7f3a"}}, {})
    assert "refused the login by approle at auth/approle (HTTP 400): the role_id is wrong, or the secret_id" in reason
    reason = refused(standing, {"auth": auth}, {})
    assert "has no secret_id: set vaults.hashicorp.auth.secret_id_file or VAULT_SECRET_ID" in reason


def test_jwt(standing: Standing, vault: VaultEmulator) -> None:
    good = vault.signed_jwt("llm/llmauth")
    works(standing, {"auth": {"method": "jwt", "role": "llmauth", "token_file": "/t"}}, {}, {"/t": good})
    works(standing, {"auth": {"method": "jwt", "role": "llmauth", "token": good}}, {})
    wrong = {"auth": {"method": "jwt", "role": "llmauth", "token": vault.signed_jwt("llm/canary-7f3a")}}
    assert "the login by jwt at auth/jwt (HTTP 400): the role must exist, and bind the issuer" in refused(
        standing, wrong, {}
    )


# ---- aws -----------------------------------------------------------------------------------------------------------


def test_aws(standing: Standing, vault: VaultEmulator) -> None:
    auth = {"method": "aws", "role": "llmauth"}
    works(standing, {"auth": auth}, {}, aws=lambda: KEYS)
    vault.server_id = "vault.example.com"
    assert "be the server's iam_server_id_header_value" in refused(standing, {"auth": auth}, {}, aws=lambda: KEYS)
    works(standing, {"auth": auth | {"header_value": "vault.example.com"}}, {}, aws=lambda: KEYS)
    vault.sts_region = "eu-central-1"
    works(
        standing, {"auth": auth | {"header_value": "vault.example.com", "region": "eu-central-1"}}, {}, aws=lambda: KEYS
    )
    # The key signs here and is sent to nobody.
    assert not any(b"canary-aws" in call.body for call in vault.calls)


def test_aws_refused(standing: Standing) -> None:
    auth = {"auth": {"method": "aws", "role": "llmauth"}}
    reason = refused(standing, auth, {})
    assert reason == "the login at Vault by aws has no identity to show: this process has no identity there"
    other = AwsKeys(access_key_id="AKIAVAULTCALLER00002", secret_access_key=Secret("canary-7f3a"))
    assert "the login by aws at auth/aws (HTTP 400)" in refused(standing, auth, {}, aws=lambda: other)


# ---- answers that give no token ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "auth",
    [None, [], {}, {"client_token": 1}, {"client_token": ""}, {"client_token": "canary-7f3a\r\nX: y"}],
    ids=range(6),
)
def test_a_login_without_a_token(standing: Standing, vault: VaultEmulator, auth: Any) -> None:
    vault.answer = lambda call: Reply(200, {"auth": auth})  # type: ignore[method-assign]
    reason = refused(standing, {}, {}, {SERVICE_ACCOUNT: "eyJ"})
    assert "answered the login by kubernetes without a token" in reason
