"""Azure Key Vault against the emulated one: what is read, each way in which it says no, and where it may stand."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from llmauth.clock import ManualClock
from llmauth.outbound import Answer, Outbound
from llmauth.platform import SimulatedMachine
from llmauth.secrets import BearerToken, Secret
from llmauth.sources import SourceFailed, SourceUnavailable
from llmauth.vaults.azure_key_vault import AzureKeyVault, AzureKeyVaultOptions
from llmauth.vaults.base import Identities, VaultSurroundings
from tests.emulators.entra import TENANT, issued, reaching
from tests.emulators.key_vault import HOST, RESOURCE, KeyVaultEmulator

URL = f"https://{HOST}/"
OTHER_TENANT = "99999999-2222-4333-8444-555555555555"


class Held:
    """An identity of Azure that has a token, and hears for what it is asked."""

    def __init__(self, token: str | None = None, absent: str | None = None) -> None:
        self.scopes: list[str] = []
        self.forgotten = 0
        self._token = token or issued(RESOURCE)
        self._absent = absent

    def token(self, scope: str) -> BearerToken:
        self.scopes.append(scope)
        return BearerToken(value=Secret(self._token))

    def forget(self) -> None:
        self.forgotten += 1

    def absent(self) -> str | None:
        return self._absent


def nobody(*_: object) -> Any:
    raise AssertionError("nobody asks Azure as somebody of another cloud")


def backend(
    outbound: Outbound, held: Held | None = None, environ: Mapping[str, str] | None = None, **options: Any
) -> AzureKeyVault:
    who = held or Held()
    identities = Identities(aws=nobody, gcp=nobody, azure=who.token, no_azure=who.absent, forget_azure=who.forget)
    here = VaultSurroundings(
        machine=SimulatedMachine(environ or {}), identities=identities, outbound=outbound, clock=ManualClock()
    )
    return AzureKeyVault(AzureKeyVaultOptions(**options), here)


@pytest.fixture
def emulator() -> Iterator[KeyVaultEmulator]:
    with KeyVaultEmulator() as emulator:
        emulator.put("openai-key", "sk-old")
        emulator.put("openai-key", "sk-new")
        yield emulator


Vault = Callable[..., AzureKeyVault]


@pytest.fixture
def vault(emulator: KeyVaultEmulator, tmp_path: Path) -> Vault:
    def make(held: Held | None = None, environ: Mapping[str, str] | None = None, **options: Any) -> AzureKeyVault:
        return backend(reaching(tmp_path, emulator), held, environ, **({"vault_url": URL} | options))

    return make


def test_the_newest_version(vault: Vault, emulator: KeyVaultEmulator) -> None:
    held = Held()
    found = vault(held).read("openai-key")
    assert found.content == Secret("sk-new")
    assert found.version == emulator.secrets["openai-key"][-1].id
    assert found.life is None
    assert held.scopes == ["https://vault.azure.net/.default"]
    (call,) = emulator.calls
    assert call.target == "/secrets/openai-key?api-version=7.4"


def test_a_version_that_is_named(vault: Vault, emulator: KeyVaultEmulator) -> None:
    oldest = emulator.secrets["openai-key"][0].id
    assert vault().read(f"openai-key/{oldest}").content == Secret("sk-old")


def test_an_underscore_stands_for_a_hyphen(vault: Vault) -> None:
    assert vault().read("openai_key").content == Secret("sk-new")


def test_a_rotated_secret_is_read(vault: Vault, emulator: KeyVaultEmulator) -> None:
    found = vault()
    found.read("openai-key")
    emulator.put("openai-key", "sk-rotated")
    assert found.read("openai-key").content == Secret("sk-rotated")


@pytest.mark.parametrize("name", ["", "a/b/c", "../keys/k", "a?b", "a b", "a%2Fb", "a\r\nX: y", "é", "x" * 128, "a/"])
def test_no_name_changes_the_path(vault: Vault, emulator: KeyVaultEmulator, name: str) -> None:
    with pytest.raises(SourceFailed, match="letters, digits and -"):
        vault().read(name)
    assert emulator.calls == []


# ---- how it says no ------------------------------------------------------------------------------------------------


def test_a_secret_that_is_not_there(vault: Vault) -> None:
    with pytest.raises(SourceFailed, match=r"^Key Vault house\.vault\.azure\.net: it holds no secret absent"):
        vault().read("absent")


def test_a_disabled_one(vault: Vault, emulator: KeyVaultEmulator) -> None:
    emulator.put("openai-key", "sk-disabled", enabled=False)
    with pytest.raises(SourceFailed, match=r"this version of the secret is disabled \(SecretDisabled\)"):
        vault().read("openai-key")


def test_one_that_has_ended_is_not_used_although_it_is_given_out(vault: Vault, emulator: KeyVaultEmulator) -> None:
    wall = int(ManualClock().wall())
    emulator.put("openai-key", "sk-ended", ends=wall)
    with pytest.raises(SourceFailed, match="this version of the secret has ended"):
        vault().read("openai-key")
    emulator.put("openai-key", "sk-ends-soon", ends=wall + 60)
    assert vault().read("openai-key").content == Secret("sk-ends-soon")


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("ForbiddenByRbac", "give it the role Key Vault Secrets User"),
        ("ForbiddenByPolicy", "no access policy of the vault"),
        ("ForbiddenByFirewall", "firewall does not let this network in"),
        ("ForbiddenByConnection", "its private endpoint alone"),
        ("SomethingNew", r"it refuses the identity \(SomethingNew\)"),
    ],
)
def test_kinds_of_forbidden(vault: Vault, emulator: KeyVaultEmulator, kind: str, reason: str) -> None:
    emulator.forbids = kind
    with pytest.raises(SourceFailed, match=reason) as caught:
        vault().read("openai-key")
    assert caught.value.reason.endswith(f"({kind})")
    assert "canary" not in caught.value.reason


def test_too_often(vault: Vault, emulator: KeyVaultEmulator) -> None:
    emulator.throttled = True
    with pytest.raises(SourceFailed, match="asked too often"):
        vault().read("openai-key")


def test_a_token_of_another_tenant(vault: Vault) -> None:
    held = Held(issued(RESOURCE, tenant=OTHER_TENANT))
    with pytest.raises(SourceFailed, match=rf"status 401, AKV10032\); it takes those of tenant {TENANT}"):
        vault(held).read("openai-key")
    assert held.forgotten == 1


def test_a_token_for_another_service(vault: Vault) -> None:
    with pytest.raises(SourceFailed, match="AKV10022"):
        vault(Held(issued("https://cognitiveservices.azure.com"))).read("openai-key")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("broken", "it gave no secret: status 500$"), ("garbage", "answered without a secret$"), ("refuse", "ByRbac")],
)
def test_faults(vault: Vault, emulator: KeyVaultEmulator, fault: Any, reason: str) -> None:
    emulator.fault = fault
    with pytest.raises(SourceFailed, match=reason) as caught:
        vault().read("openai-key")
    assert "canary" not in caught.value.reason


def test_silence_ends_in_time(emulator: KeyVaultEmulator, tmp_path: Path) -> None:
    emulator.fault = "slow"
    started = time.monotonic()
    with pytest.raises(SourceFailed, match=r"did not answer within 0\.5 s"):
        backend(reaching(tmp_path, emulator).within(0.5), vault_url=URL).read("openai-key")
    assert time.monotonic() - started < 2


def test_an_outage_ends_with_it(vault: Vault, emulator: KeyVaultEmulator) -> None:
    found = vault()
    emulator.stop()
    with pytest.raises(SourceFailed, match="ConnectionRefusedError"):
        found.read("openai-key")
    emulator.start()
    assert found.read("openai-key").content == Secret("sk-new")


class Said(Outbound):
    """A vault that says what it is told to."""

    def __init__(self, status: int, told: object) -> None:
        self.said = Answer(status=status, body=json.dumps(told).encode())

    def ask(self, *_: Any, **__: Any) -> Answer:
        return self.said


GOOD = {"value": "canary-7f3a", "attributes": {"enabled": True}}


@pytest.mark.parametrize(
    ("status", "told", "reason"),
    [
        (200, [], "without a secret"),
        (200, {**GOOD, "value": None}, "without a secret"),
        (200, {**GOOD, "attributes": None}, "without a secret"),
        (200, {**GOOD, "attributes": {}}, "is disabled"),
        (200, {**GOOD, "attributes": {"enabled": False}}, "is disabled"),
        (302, {}, "status 302$"),
        (401, "canary-7f3a", r"refused the token \(status 401\)$"),
        (403, {"error": {"code": "canary-7f3a"}}, "refuses the identity$"),
        (403, {"error": {"innererror": {"innererror": {"code": "canary 7"}}}}, "refuses the identity$"),
        (404, {"error": "canary-7f3a"}, "holds no secret openai-key$"),
        (503, {"error": {"code": ["canary-7f3a"]}}, "status 503$"),
    ],
)
def test_no_other_answer_is_a_secret(status: int, told: object, reason: str) -> None:
    with pytest.raises(SourceFailed, match=reason) as caught:
        backend(Said(status, told), vault_url=URL).read("openai-key")
    assert "canary" not in caught.value.reason


def test_the_good_one_is() -> None:
    """So that the table above refuses for its own reasons; a version of another form is none to tell."""
    told = {**GOOD, "id": "https://house.vault.azure.net/secrets/openai-key/a b"}
    found = backend(Said(200, told), vault_url=URL).read("openai-key")
    assert (found.content, found.version) == (Secret("canary-7f3a"), None)


# ---- where it may stand --------------------------------------------------------------------------------------------


def test_without_an_address() -> None:
    found = backend(Outbound())
    with pytest.raises(SourceUnavailable, match=r"set vaults\.azure_key_vault\.vault_url, or .* AZURE_KEYVAULT_URL"):
        found.read("openai-key")


@pytest.mark.parametrize("variable", ["AZURE_KEYVAULT_URL", "AZURE_KEY_VAULT_ENDPOINT"])
def test_an_address_of_the_environment(vault: Vault, variable: str) -> None:
    found = vault(environ={variable: URL}, vault_url="")
    assert found.unavailable() is None
    assert found.read("openai-key").content == Secret("sk-new")


def test_without_an_identity(vault: Vault, emulator: KeyVaultEmulator) -> None:
    held = Held(absent="this process has no identity of Azure")
    found = vault(held)
    assert found.unavailable() == "this process has no identity of Azure"
    with pytest.raises(SourceUnavailable, match="no identity of Azure"):
        found.read("openai-key")
    assert (emulator.calls, held.scopes) == ([], [])


@pytest.mark.parametrize(
    ("host", "scope"),
    [
        ("house.vault.usgovcloudapi.net", "https://vault.usgovcloudapi.net/.default"),
        ("House.Vault.Azure.CN", "https://vault.azure.cn/.default"),
    ],
)
def test_the_token_is_for_the_cloud_of_the_vault(host: str, scope: str) -> None:
    held = Held()
    backend(Said(200, GOOD), held, vault_url=f"https://{host}").read("openai-key")
    assert held.scopes == [scope]


@pytest.mark.parametrize(
    "url",
    [
        "http://house.vault.azure.net",
        "https://house.vault.azure.net/secrets/openai",
        "https://user:pass@house.vault.azure.net",
        "https://house.vault.azure.net?x=y",
        "https://",
        "house.vault.azure.net",
        "https://[::1]",
    ],
)
def test_addresses_of_another_form(url: str) -> None:
    held = Held()
    with pytest.raises(SourceFailed, match=r"is no address like https://NAME\.vault\.azure\.net"):
        backend(Outbound(), held, {"AZURE_KEYVAULT_URL": url}).read("openai-key")
    with pytest.raises(ValueError, match=r"is no address like https://NAME\.vault\.azure\.net"):
        AzureKeyVaultOptions(vault_url=url)
    assert held.scopes == []


def test_a_certificate_authority_that_nobody_would_ask_is_refused() -> None:
    with pytest.raises(ValueError, match="`ca_file` is for a `private_endpoint`"):
        AzureKeyVaultOptions(vault_url=URL, ca_file=Path("/etc/ca.pem"))


@pytest.mark.parametrize(
    "url",
    [
        "https://house.vault.azure.net.evil.example",
        "https://evil.example",
        "https://vault.azure.net",
        "https://a.b.vault.azure.net",
        "https://10.0.0.1",
    ],
)
def test_no_token_goes_to_a_host_that_is_no_vault(url: str) -> None:
    """S7: where our identity is shown is Key Vault, or a place that was called a private endpoint."""
    held = Held()
    with pytest.raises(SourceFailed, match="which is no Key Vault"):
        backend(Outbound(), held, {"AZURE_KEYVAULT_URL": url}).read("openai-key")
    with pytest.raises(ValueError, match="which is no Key Vault"):
        AzureKeyVaultOptions(vault_url=url)
    assert held.scopes == []


def test_a_private_address_is_not_reached_by_itself() -> None:
    held = Held()
    way = Outbound()
    way._addresses = lambda target: Outbound._addresses(way, target._replace(host="127.0.0.1"))  # type: ignore[method-assign]
    with pytest.raises(SourceFailed, match="leads to a private address"):
        backend(way, held, vault_url=URL).read("openai-key")


def test_a_private_endpoint_is_reached_directly(tmp_path: Path) -> None:
    with KeyVaultEmulator(tls=("localhost",)) as inside:
        inside.put("openai-key", "sk-inside")
        held = Held()
        found = backend(
            Outbound(), held, vault_url=inside.url, private_endpoint=True, ca_file=inside.write_ca(tmp_path)
        )
        assert found.read("openai-key").content == Secret("sk-inside")
        assert held.scopes == ["https://vault.azure.net/.default"]


def test_a_private_endpoint_proves_itself_as_well() -> None:
    """S4: private is no reason to believe anybody."""
    with KeyVaultEmulator(tls=("localhost",)) as inside:
        with pytest.raises(SourceFailed, match="could not be verified"):
            backend(Outbound(), vault_url=inside.url, private_endpoint=True).read("openai-key")
        assert inside.calls == []


def test_options_of_another_name_are_refused() -> None:
    with pytest.raises(ValidationError):
        AzureKeyVaultOptions.model_validate({"vault": URL})
