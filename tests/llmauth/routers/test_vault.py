"""The vault router sends a reference to the backend that it names, with the path alone."""

from typing import Any

import pytest

from llmauth.routers.vault import VaultRouter
from llmauth.secrets import Secret
from llmauth.sources import SourceUnavailable
from llmauth.vaults.base import BackendName, NoVaults, SecretRef, VaultSecret


class Shelf:
    def __init__(self, name):
        self.name = name
        self.asked = []
        self.forgotten = []

    def unavailable(self):
        return f"{self.name} is far"

    def forget(self, path):
        self.forgotten.append(path)

    def read(self, path):
        self.asked.append(path)
        return VaultSecret(content=Secret(self.name))


def test_each_reference_goes_to_its_own_backend():
    names: tuple[BackendName, ...] = ("hashicorp", "azure_key_vault")
    shelves: dict[BackendName, Any] = {name: Shelf(name) for name in names}
    router = VaultRouter(shelves)
    assert router.read(SecretRef(backend="azure_key_vault", path="a/b", field="c")).content == Secret("azure_key_vault")
    assert (shelves["azure_key_vault"].asked, shelves["hashicorp"].asked) == (["a/b"], [])
    router.forget(SecretRef(backend="hashicorp", path="x/y"))
    assert (shelves["hashicorp"].forgotten, shelves["azure_key_vault"].forgotten) == (["x/y"], [])
    assert router.unavailable(SecretRef(backend="hashicorp", path="x")) == "hashicorp is far"


def test_without_vaults_nothing_is_read():
    ref = SecretRef(backend="hashicorp", path="a/b", field="c")
    with pytest.raises(SourceUnavailable, match="no vault is configured, so hashicorp:a/b#c cannot be read"):
        NoVaults().read(ref)
    assert NoVaults().unavailable(ref) == "no vault is configured, so hashicorp:a/b#c cannot be read"
