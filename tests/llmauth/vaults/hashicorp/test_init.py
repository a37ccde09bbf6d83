"""The backend before the emulated Vault, over TLS: what it reads, what it refuses, and what it says."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from llmauth.clock import ManualClock
from llmauth.credentials.base import Surroundings
from llmauth.credentials.fields import credential_from
from llmauth.credentials.vault import VaultOptions, VaultStrategy
from llmauth.demo.certificates import Authority
from llmauth.routers.vault import VaultRouter
from llmauth.secrets import AwsKeys, Secret
from llmauth.sources import SourceFailed, SourceUnavailable
from llmauth.vaults.base import VaultSecret
from llmauth.vaults.hashicorp import Hashicorp
from tests.emulators.service import Reply, dead_port
from tests.emulators.vault import AppRole, Engine, Role, VaultEmulator

from .conftest import Standing, asked

PATH = "secret/data/llm/openai"
SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount/token"


def shown(secret: VaultSecret) -> dict[str, str]:
    return {name: value.reveal() for name, value in fields(secret).items()}


def fields(secret: VaultSecret) -> Mapping[str, Secret]:
    assert not isinstance(secret.content, Secret)
    return secret.content


def refused(backend: Hashicorp, path: str = PATH) -> str:
    began = time.monotonic()
    with pytest.raises(SourceFailed) as failure:
        backend.read(path)
    assert time.monotonic() - began < 5
    assert "canary" not in failure.value.reason
    return failure.value.reason


# ---- what is kept --------------------------------------------------------------------------------------------------


def test_version_2_and_its_rotation(standing: Standing, vault: VaultEmulator) -> None:
    backend = standing()
    vault.put("secret/llm/openai", {"api_key": "sk-old", "note": "ours", "retries": 3})
    first = backend.read(PATH)
    assert (shown(first), first.life, first.version) == ({"api_key": "sk-old", "note": "ours"}, None, "1")
    vault.put("secret/llm/openai", {"api_key": "sk-new"})
    second = backend.read(PATH)
    assert (shown(second), second.version) == ({"api_key": "sk-new"}, "2")


def test_version_1_has_no_life(standing: Standing, vault: VaultEmulator) -> None:
    """Its lease_duration is 32 days whatever happens: not a life, but the default of its mount."""
    vault.put("kv/llm/openai", {"api_key": "sk-one", "data": "x", "metadata": "y"})
    read = standing().read("kv/llm/openai")
    assert (shown(read)["api_key"], read.life, read.version) == ("sk-one", None, None)


def test_a_path_is_read_as_it_is_written(standing: Standing, vault: VaultEmulator) -> None:
    vault.put("kv/llm/a b%41+ä", {"api_key": "sk-one"})
    assert shown(standing().read("/kv//llm/a b%41+ä/")) == {"api_key": "sk-one"}


@pytest.mark.parametrize("path", ["", "/", "kv/../sys/seal", "kv/./x", "kv/x?version=1", "kv/x#y", "kv/x\n", "kv\\x"])
def test_no_path_that_asks_for_another(standing: Standing, vault: VaultEmulator, path: str) -> None:
    assert "looks like secret/data/llm/openai" in refused(standing(), path)
    assert vault.calls == []


@pytest.mark.parametrize(("destroy", "path"), [(False, PATH), (True, PATH)])
def test_a_deleted_version(standing: Standing, vault: VaultEmulator, destroy: bool, path: str) -> None:
    vault.put("secret/llm/openai", {"api_key": "sk-old"})
    vault.delete("secret/llm/openai", destroy=destroy)
    assert "is deleted in Vault, its version 1; undelete it" in refused(standing(), path)


def test_what_is_not_there(standing: Standing, vault: VaultEmulator) -> None:
    backend = standing()
    assert "Vault has no secret at secret/data/llm/none (HTTP 404)" in refused(backend, "secret/data/llm/none")
    assert "key-value version 2 wants data/ behind" in refused(backend, "secret/llm/openai")
    vault.kubernetes["llmauth"].policies = ["root"]
    assert "Vault has no secret at unmounted/x" in refused(backend, "unmounted/x")


# ---- what is lent --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("leaseless", [False, True])
def test_temporary_keys_live_as_long_as_their_lease(standing: Standing, vault: VaultEmulator, leaseless: bool) -> None:
    """The documented example. Vault 1.13.0 tells of no lease; then `ttl` counts. Nobody takes these keys back, so the
    shorter life of our token is not theirs."""
    vault.sts("bedrock-role", ttl=3599, leaseless=leaseless)
    backend = standing()
    first, second = backend.read("aws/sts/bedrock-role"), backend.read("aws/sts/bedrock-role")
    assert (first.life, first.version) == (3599, None)
    credential = credential_from(fields(first), "bedrock")
    assert isinstance(credential, AwsKeys)
    assert credential.access_key_id.startswith("ASIA")
    assert credential.session_token is not None
    # What cannot be renewed is asked for anew.
    assert first.content != second.content


def test_a_strategy_knows_the_end(standing: Standing, vault: VaultEmulator, clock: ManualClock) -> None:
    """The end is Vault's own, to the second."""
    vault.sts("bedrock-role", ttl=3599)
    options = VaultOptions(backend="hashicorp", path="aws/sts/bedrock-role")
    surroundings = Surroundings(provider="bedrock", clock=clock, vaults=VaultRouter({"hashicorp": standing()}))
    loaded = VaultStrategy(options, surroundings).load()
    assert (loaded.source, loaded.expires_at) == ("hashicorp:aws/sts/bedrock-role", clock.wall() + 3599)


def test_keys_of_a_user_are_renewed_and_then_read_anew(
    standing: Standing, vault: VaultEmulator, clock: ManualClock
) -> None:
    vault.creds("bedrock", ttl=600, max_ttl=1250)
    backend = standing()
    first = backend.read("aws/creds/bedrock")
    assert first.life == 600
    credential = credential_from(fields(first), "bedrock")
    assert isinstance(credential, AwsKeys)
    assert credential.session_token is None
    clock.advance(450)
    renewed = backend.read("aws/creds/bedrock")
    assert (renewed.content == first.content, renewed.life) == (True, 600)
    clock.advance(450)
    assert backend.read("aws/creds/bedrock").content != first.content, "with 350 s left of 600 it is read anew"
    assert [call for call in asked(vault) if "auth" not in call] == [
        "GET aws/creds/bedrock",
        "PUT sys/leases/renew",
        "PUT sys/leases/renew",
        "GET aws/creds/bedrock",
    ]


def test_any_engine_that_lends(standing: Standing, vault: VaultEmulator, clock: ManualClock) -> None:
    number = iter(range(9))
    vault.engines["openai/creds/llm"] = Engine(make=lambda: {"api_key": f"sk-{next(number)}"}, ttl=300, renewable=False)
    backend = standing()
    assert (backend.read("openai/creds/llm").life, shown(backend.read("openai/creds/llm"))) == (
        300,
        {"api_key": "sk-1"},
    )


def test_a_lease_lives_no_longer_than_its_token(standing: Standing, vault: VaultEmulator, clock: ManualClock) -> None:
    """Vault takes back what it lent to a token when that token ends, whatever the lease said."""
    vault.creds("bedrock", ttl=86400, max_ttl=864000)
    backend = standing({"auth": {"method": "kubernetes"}}, {}, {SERVICE_ACCOUNT: vault.service_account("llm/llmauth")})
    first = backend.read("aws/creds/bedrock")
    assert first.life == 1200
    clock.advance(900)
    second = backend.read("aws/creds/bedrock")
    assert (second.content == first.content, second.life) == (True, 1200)
    # 3600 s after the login the token can be renewed no more: a new one, and with it new keys.
    for _ in range(2):
        clock.advance(900)
        backend.read("aws/creds/bedrock")
    clock.advance(900)
    last = backend.read("aws/creds/bedrock")
    assert (last.content == first.content, last.life) == (False, 1200)
    assert len([call for call in asked(vault) if call == "POST auth/kubernetes/login"]) == 2


def test_who_comes_at_once_shares_a_lease_and_who_comes_early_gets_another(
    standing: Standing, vault: VaultEmulator, clock: ManualClock
) -> None:
    """Instances that share a path come together; who asks again before it is due was refused by its provider."""
    vault.creds("bedrock", ttl=1000, max_ttl=9000)
    backend = standing()
    first = backend.read("aws/creds/bedrock")
    clock.advance(30)
    shared = backend.read("aws/creds/bedrock")
    assert (shared.content == first.content, shared.life) == (True, 970)
    clock.advance(90)
    assert backend.read("aws/creds/bedrock").content != first.content


def test_a_lease_that_was_taken_back_is_read_anew(standing: Standing, vault: VaultEmulator, clock: ManualClock) -> None:
    vault.creds("bedrock", ttl=600, max_ttl=9000)
    backend = standing()
    first = backend.read("aws/creds/bedrock")
    vault.leases.clear()
    clock.advance(450)
    second = backend.read("aws/creds/bedrock")
    assert (second.content == first.content, second.life) == (False, 600)


# ---- the token -----------------------------------------------------------------------------------------------------


def test_concurrent_reads_make_one_login(standing: Standing, vault: VaultEmulator) -> None:
    for number in range(10):
        vault.put(f"secret/llm/{number}", {"api_key": f"sk-{number}"})
    backend = standing({"auth": {"method": "kubernetes"}}, {}, {SERVICE_ACCOUNT: vault.service_account("llm/llmauth")})
    found: dict[int, Any] = {}

    def read(number: int) -> None:
        found[number] = shown(backend.read(f"secret/data/llm/{number}"))

    threads = [threading.Thread(target=read, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: {"api_key": f"sk-{number}"} for number in range(10)}
    assert len([call for call in asked(vault) if "login" in call]) == 1


def test_a_token_that_was_taken_back_is_followed_by_the_projected_one_of_now(
    standing: Standing, vault: VaultEmulator
) -> None:
    vault.put("secret/llm/openai", {"api_key": "sk-one"})
    files = {SERVICE_ACCOUNT: vault.service_account("llm/llmauth")}
    backend = standing({"auth": {"method": "kubernetes"}}, {}, files)
    backend.read(PATH)
    vault.service_accounts.clear()
    files[SERVICE_ACCOUNT] = vault.service_account("llm/llmauth")
    for token in list(vault.tokens):
        vault.revoke(token)
    assert shown(backend.read(PATH)) == {"api_key": "sk-one"}
    assert asked(vault) == ["POST auth/kubernetes/login", f"GET {PATH}", f"GET {PATH}", *asked(vault)[:2]]


def test_a_policy_that_forbids_is_asked_once_more_and_no_more(standing: Standing, vault: VaultEmulator) -> None:
    vault.put("secret/llm/openai", {"api_key": "sk-one"})
    vault.kubernetes["llmauth"].policies = ["default"]
    backend = standing({"auth": {"method": "kubernetes"}}, {}, {SERVICE_ACCOUNT: vault.service_account("llm/llmauth")})
    reason = refused(backend)
    assert f"gave no secret at {PATH} (HTTP 403): permission denied" in reason
    assert "must allow `read`" in reason
    assert asked(vault) == ["POST auth/kubernetes/login", f"GET {PATH}"] * 2


def test_a_forbidden_path_costs_other_paths_nothing(standing: Standing, vault: VaultEmulator) -> None:
    """A secret_id may be good for one login; the token that it gave is kept when it gives no other."""
    vault.put("secret/llm/openai", {"api_key": "sk-one"})
    vault.approle["r"] = AppRole(Role(policies=["default", "llm"]), {"s": 1})
    backend = standing(environ={"VAULT_ROLE_ID": "r", "VAULT_SECRET_ID": "s"})
    reason = refused(backend, "forbidden/x")
    assert "Vault refused our token at forbidden/x (HTTP 403), and gave no other" in reason
    assert "used up or expired" in reason
    assert shown(backend.read(PATH)) == {"api_key": "sk-one"}


def test_a_namespace(standing: Standing, vault: VaultEmulator) -> None:
    vault.put("secret/llm/openai", {"api_key": "team's"}, namespace="team")
    token = vault.token(Role(policies=["default", "llm"]), namespace="team")
    assert shown(standing({"namespace": "team"}, {"VAULT_TOKEN": token}).read(PATH)) == {"api_key": "team's"}
    by_environment = {"VAULT_TOKEN": token, "VAULT_NAMESPACE": "team"}
    assert shown(standing(environ=by_environment).read(PATH)) == {"api_key": "team's"}
    assert "permission denied" in refused(standing(environ={"VAULT_TOKEN": token}))


# ---- not here, or broken -------------------------------------------------------------------------------------------


def test_who_has_none_is_told_without_a_call(standing: Standing, vault: VaultEmulator) -> None:
    backend = standing(environ={"VAULT_ADDR": "", "VAULT_TOKEN": "hvs.x"})
    reason = "vault (hashicorp) is not configured: set vaults.hashicorp.address or VAULT_ADDR"
    assert backend.unavailable() == reason
    with pytest.raises(SourceUnavailable, match=r"is not configured"):
        backend.read(PATH)
    backend = standing(environ={})
    assert "nothing to log in with" in str(backend.unavailable())
    with pytest.raises(SourceUnavailable, match=r"nothing to log in with"):
        backend.read(PATH)
    assert standing().unavailable() is None
    assert vault.calls == []


def test_a_wrong_address_is_a_fault_and_no_absence(standing: Standing) -> None:
    backend = standing(environ={"VAULT_ADDR": "http://vault.example:8200", "VAULT_TOKEN": "hvs.x"})
    assert backend.unavailable() is None
    assert "VAULT_ADDR: the address of Vault must begin with https://" in refused(backend)


def test_one_that_is_down(standing: Standing, vault: VaultEmulator) -> None:
    with dead_port() as port:
        backend = standing(environ={"VAULT_ADDR": f"https://127.0.0.1:{port}", "VAULT_TOKEN": "hvs.x"})
        assert refused(backend) == "Vault cannot be asked: 127.0.0.1 cannot be asked: ConnectionRefusedError"
    vault.put("secret/llm/openai", {"api_key": "sk-one"})
    backend = standing()
    vault.stop()
    refused(backend)
    vault.start()
    assert shown(backend.read(PATH)) == {"api_key": "sk-one"}


def test_one_that_is_silent(standing: Standing, vault: VaultEmulator) -> None:
    """One limit for login and read together, and for who waits for the login of another."""
    backend = standing()
    vault.fault = "slow"
    began = time.monotonic()
    reasons: list[str] = []

    def read(path: str) -> None:
        reasons.append(refused(backend, path))

    threads = [threading.Thread(target=read, args=(path,)) for path in ("kv/a", "kv/b", "kv/a")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - began < 5
    asked_itself = [
        reason for reason in reasons if re.search(r"127\.0\.0\.1 did not answer within [34](\.\d)? s$", reason)
    ]
    waited = [
        reason
        for reason in reasons
        if re.search(r"^Vault did not answer another (login|read of kv/a) in time$", reason)
    ]
    assert asked_itself
    assert len(asked_itself) + len(waited) == 3


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("garbage", "answered what no Vault says; is vaults.hashicorp.address right?"),
        ("broken", "(HTTP 500): it failed"),
        ("refuse", f"gave no secret at {PATH} (HTTP 403): permission denied"),
    ],
)
@pytest.mark.parametrize("before", [True, False])
def test_faults(standing: Standing, vault: VaultEmulator, fault: Any, sentence: str, before: bool) -> None:
    vault.put("secret/llm/openai", {"api_key": "sk-one"})
    backend = standing()
    if not before:
        backend.read(PATH)
    vault.fault = fault
    assert sentence in refused(backend)
    vault.fault = None
    assert shown(backend.read(PATH)) == {"api_key": "sk-one"}


def test_states_of_vault(standing: Standing, vault: VaultEmulator) -> None:
    backend = standing()
    vault.limited = True
    assert "(HTTP 429): it limits our requests" in refused(backend)
    vault.limited, vault.sealed = False, True
    assert "(HTTP 503): it is sealed" in refused(backend)


def test_a_standby_gets_nobodys_token_sent_elsewhere(standing: Standing, vault: VaultEmulator) -> None:
    """Neither the token, nor what is shown in a login, goes to an address that nobody configured."""
    with VaultEmulator(authority=vault.authority) as elsewhere:
        vault.standby_of = elsewhere.url
        assert "is a standby and points elsewhere (HTTP 307)" in refused(standing())
        files = {SERVICE_ACCOUNT: vault.service_account("llm/llmauth")}
        assert "(HTTP 307)" in refused(standing({"auth": {"method": "kubernetes"}}, {}, files))
        assert elsewhere.calls == []


def test_certificates(standing: Standing, vault: VaultEmulator, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger.pem"
    stranger.write_bytes(Authority.create().pem)
    reason = refused(standing({"ca_file": str(stranger)}))
    assert "certificate of 127.0.0.1 could not be verified" in reason
    assert "vaults.hashicorp.ca_file or VAULT_CACERT" in reason
    missing = tmp_path / "none.pem"
    assert f"{missing}, the certificate authority of Vault, cannot be read" in refused(
        standing({"ca_file": str(missing)})
    )
    assert vault.calls == []


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"null",
        b'{"data": null}',
        b'{"data": []}',
        b'{"data": {}}',
        b'{"data": {"api_key": {"canary-7f3a": 1}}}',
        b'{"data": {"api_key": ["canary-7f3a"]}}',
        b'{"data": {"data": ["canary-7f3a"], "metadata": {"version": 1, "created_time": ""}}}',
        b'{"data": {"api_key": "canary-7f3a"}, "lease_id": "x", "lease_duration": NaN}',
        b'{"data": {"api_key": "canary-7f3a"}, "lease_id": "x", "lease_duration": -1}',
        b'{"data": {"api_key": "canary-7f3a"}, "lease_id": "x", "lease_duration": 1e999}',
        b'{"data": {"api_key": "canary-7f3a"}, "lease_id": "x", "lease_duration": true}',
        b'{"data": {"api_key": "canary-7f3a"}, "lease_id": "x", "lease_duration": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"data": ' + b'{"a":' * 100_000,
        b'{"data": {"api_key": "' + b"canary-7f3a" * 200_000 + b'"}}',
        b"\xff\xfe",
    ],
    ids=range(17),
)
def test_hostile_answers(standing: Standing, vault: VaultEmulator, body: bytes) -> None:
    backend = standing()
    vault.put("secret/llm/openai", {"api_key": "sk-one"})
    backend.read(PATH)
    vault.answer = lambda call: Reply(200, body)  # type: ignore[method-assign]
    assert len(refused(backend)) < 300


@pytest.mark.parametrize("status", [400, 401, 404, 405, 412, 418, 500, 501, 502])
def test_hostile_refusals(standing: Standing, vault: VaultEmulator, status: int) -> None:
    """hvac itself falls over errors that are no list of texts."""
    backend = standing()
    for body in (b"[]", b'{"errors": [1, {"a": "canary-7f3a"}]}', b'{"errors": "canary-7f3a", "data": []}', b"canary"):
        vault.answer = lambda call, body=body: Reply(status, body)  # type: ignore[method-assign, misc]
        assert f"HTTP {status}" in refused(backend)


def test_a_forbidden_path_does_not_log_in_for_each_read(
    standing: Standing, vault: VaultEmulator, clock: ManualClock
) -> None:
    """Each login would leave a token behind, and take their leases from the other paths."""
    vault.put("secret/llm/openai", {"api_key": "sk-one"})
    vault.approle["r"] = AppRole(Role(policies=["default", "llm"], ttl=3600, max_ttl=36_000), {"s": 1000})
    backend = standing(environ={"VAULT_ROLE_ID": "r", "VAULT_SECRET_ID": "s"})
    for _ in range(8):
        clock.advance(30)
        assert "permission denied" in refused(backend, "forbidden/x")
        assert shown(backend.read(PATH)) == {"api_key": "sk-one"}
    assert len([call for call in asked(vault) if "login" in call]) == 2
    clock.advance(300)
    refused(backend, "forbidden/x")
    assert len([call for call in asked(vault) if "login" in call]) == 3
    for token in list(vault.tokens):
        vault.revoke(token)
    assert shown(backend.read(PATH)) == {"api_key": "sk-one"}
