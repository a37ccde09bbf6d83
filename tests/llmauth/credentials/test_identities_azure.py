"""As whom Key Vault is asked: the environment's application, else the workload's own identity, kept for each scope."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmauth.clock import ManualClock
from llmauth.credentials.identities import AzureIdentity, identities
from llmauth.sources import SourceFailed, SourceUnavailable
from llmauth.vaults.azure_key_vault import AzureKeyVault, AzureKeyVaultOptions
from llmauth.vaults.base import VaultSurroundings
from tests.emulators.entra import CLIENT, SECRET, TENANT, EntraEmulator, cluster_token, opened, reaching
from tests.emulators.key_vault import HOST, KeyVaultEmulator

VAULT, OPENAI = "https://vault.azure.net", "https://cognitiveservices.azure.com"
APPLICATION = {"AZURE_TENANT_ID": TENANT, "AZURE_CLIENT_ID": CLIENT, "AZURE_CLIENT_SECRET": SECRET}


@pytest.fixture
def entra() -> Iterator[EntraEmulator]:
    with EntraEmulator() as entra:
        yield entra


@pytest.fixture
def identity(standing, entra: EntraEmulator, tmp_path: Path):
    def make(environ, clock=None) -> AzureIdentity:
        more = {} if clock is None else {"clock": clock}
        return AzureIdentity(standing("azure", environ, outbound=reaching(tmp_path, entra), **more))

    return make


def federated(folder: Path) -> dict[str, str]:
    (folder / "token").write_text(cluster_token())
    ids = {"AZURE_TENANT_ID": TENANT, "AZURE_CLIENT_ID": CLIENT}
    return ids | {"AZURE_FEDERATED_TOKEN_FILE": str(folder / "token"), "KUBERNETES_SERVICE_HOST": "10.0.0.1"}


def test_the_application_of_the_environment(identity, entra: EntraEmulator) -> None:
    found = identity(APPLICATION)
    assert found.unavailable() is None
    assert opened(found(f"{VAULT}/.default").value.reveal(), VAULT)["appid"] == CLIENT
    assert "client_secret" in entra.calls[0].form


def test_a_key_of_azure_openai_is_nobody_here(identity) -> None:
    with pytest.raises(SourceUnavailable, match="no identity of Azure: AZURE_CLIENT_SECRET is not set; Azure workload"):
        identity({"AZURE_OPENAI_API_KEY": "key"})(f"{VAULT}/.default")


def test_the_workloads_own(identity, entra: EntraEmulator, tmp_path: Path) -> None:
    found = identity(federated(tmp_path))
    assert found.unavailable() is None
    assert opened(found(f"{VAULT}/.default").value.reveal(), VAULT)["appid"] == CLIENT
    assert "client_assertion" in entra.calls[0].form


def test_the_application_comes_first(identity, entra: EntraEmulator, tmp_path: Path) -> None:
    identity(federated(tmp_path) | APPLICATION)(f"{VAULT}/.default")
    assert "client_secret" in entra.calls[0].form


def test_a_broken_one_is_told_and_nobody_else_asked(identity, entra: EntraEmulator, tmp_path: Path) -> None:
    with pytest.raises(SourceFailed, match="AADSTS7000215"):
        identity(federated(tmp_path) | APPLICATION | {"AZURE_CLIENT_SECRET": "other"})(f"{VAULT}/.default")
    assert len(entra.calls) == 1


def test_a_token_is_kept_for_its_scope_while_it_is_young(identity, entra: EntraEmulator) -> None:
    clock = ManualClock()
    found = identity(APPLICATION, clock)
    first = found(f"{VAULT}/.default")
    assert found(f"{VAULT}/.default") == first
    assert opened(found(f"{OPENAI}/.default").value.reveal(), OPENAI)
    assert len(entra.calls) == 2
    clock.advance(0.8 * entra.life)
    assert found(f"{VAULT}/.default") != first


def test_a_refused_token_is_forgotten(identity, entra: EntraEmulator) -> None:
    found = identity(APPLICATION)
    first = found(f"{VAULT}/.default")
    found.forget()
    assert found(f"{VAULT}/.default") != first


def test_many_threads_ask_once(identity, entra: EntraEmulator) -> None:
    found = identity(APPLICATION)
    threads = [threading.Thread(target=found, args=(f"{VAULT}/.default",)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert len(entra.calls) == 1


def test_a_laptop_has_none(identity) -> None:
    assert "Azure workload identity not available on generic" in identity({}).unavailable()


def test_a_vault_is_read_with_it(standing, entra: EntraEmulator, tmp_path: Path) -> None:
    """From the pod's token to the secret, over three sockets."""
    with KeyVaultEmulator(authority=entra.authority) as vault:
        vault.put("openai-key", "sk-inside")
        way = reaching(tmp_path, entra, vault)
        here = standing("openai", federated(tmp_path), outbound=way)
        surroundings = VaultSurroundings(machine=here.machine, identities=identities(here), outbound=way)
        options = AzureKeyVaultOptions(vault_url=f"https://{HOST}")
        assert AzureKeyVault(options, surroundings).read("openai_key").content.reveal() == "sk-inside"


def test_a_vault_without_an_identity_says_so(standing) -> None:
    here = standing("openai", {})
    surroundings = VaultSurroundings(machine=here.machine, identities=identities(here))
    found = AzureKeyVault(AzureKeyVaultOptions(vault_url=f"https://{HOST}"), surroundings)
    assert "this process has no identity of Azure" in str(found.unavailable())
