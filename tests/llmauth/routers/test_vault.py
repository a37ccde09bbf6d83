"""Without a vault, every reference is unavailable, and says which it was."""

import pytest

from llmauth.routers.vault import NoVaults, VaultRouter
from llmauth.vaults.base import SecretRef, SecretUnavailable


def test_nothing_can_be_read_without_a_vault():
    router: VaultRouter = NoVaults()
    with pytest.raises(SecretUnavailable, match="no vault backend is configured, so hashicorp:a/b#c cannot be read"):
        router.read(SecretRef(backend="hashicorp", path="a/b", field="c"))
