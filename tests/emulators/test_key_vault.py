"""The emulated Key Vault, met by azure-keyvault-secrets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.clients.sdks import Sdks
from tests.emulators.entra import issued
from tests.emulators.key_vault import HOST, RESOURCE, KeyVaultEmulator
from tests.llmauth.demo.clients import ClientProblem, cloud_interpreter

READ = """
import time

class Held:
    def get_token(self, *scopes, **more):
        asked.append(scopes[0])
        return credentials.AccessToken(token, int(time.time()) + 3600)

asked = []
client = secrets.SecretClient(f"https://{host}", Held(), retry_total=0)
found = client.get_secret(name, version)
result = [found.value, found.properties.version, asked]
"""


@pytest.fixture(scope="module")
def sdks() -> Iterator[Sdks]:
    sdks = Sdks(cloud_interpreter(), "azure.keyvault.secrets", "azure.core.credentials")
    yield sdks
    sdks.close()


@pytest.fixture
def vault() -> Iterator[KeyVaultEmulator]:
    with KeyVaultEmulator() as vault:
        vault.put("openai", "sk-old")
        vault.put("openai", "sk-new")
        yield vault


def read(sdks: Sdks, vault: KeyVaultEmulator, folder: Path, name: str = "openai", **names: Any) -> Any:
    environ = {"REQUESTS_CA_BUNDLE": str(vault.write_ca(folder))}
    good = {"host": HOST, "token": issued(RESOURCE), "name": name, "version": None}
    return sdks.run(READ, environ, direct_port=vault.port, **(good | names))


def test_the_newest_version_after_the_challenge(sdks: Sdks, vault: KeyVaultEmulator, tmp_path: Path) -> None:
    newest = vault.secrets["openai"][-1].id
    assert read(sdks, vault, tmp_path) == ["sk-new", newest, [f"{RESOURCE}/.default"]]
    assert [call.bearer is None for call in vault.calls] == [True, False]


def test_a_version_that_is_named(sdks: Sdks, vault: KeyVaultEmulator, tmp_path: Path) -> None:
    oldest = vault.secrets["openai"][0].id
    assert read(sdks, vault, tmp_path, version=oldest)[0] == "sk-old"


@pytest.mark.parametrize(
    ("name", "token", "kind", "said"),
    [
        ("absent", issued(RESOURCE), "ResourceNotFoundError", "SecretNotFound"),
        ("dis", issued(RESOURCE), "HttpResponseError", "SecretDisabled"),
        ("openai", issued("https://cognitiveservices.azure.com"), "ClientAuthenticationError", "AKV10022"),
        ("openai", issued(RESOURCE, tenant="other"), "ClientAuthenticationError", "AKV10032"),
        ("openai", issued(RESOURCE, life=-1), "ClientAuthenticationError", "AKV10046"),
    ],
)
def test_refusals(
    sdks: Sdks, vault: KeyVaultEmulator, tmp_path: Path, name: str, token: str, kind: str, said: str
) -> None:
    vault.put("dis", "x", enabled=False)
    with pytest.raises(ClientProblem) as caught:
        read(sdks, vault, tmp_path, name, token=token)
    assert (caught.value.kind, said in caught.value.message) == (kind, True), caught.value.message


def test_a_kind_of_forbidden(sdks: Sdks, vault: KeyVaultEmulator, tmp_path: Path) -> None:
    vault.forbids = "ForbiddenByFirewall"
    with pytest.raises(ClientProblem, match="ForbiddenByFirewall"):
        read(sdks, vault, tmp_path)
