"""The vault router: which backend holds a secret? The interface, until there are backends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from llmauth.secrets import Secret
from llmauth.vaults.base import SecretRef, SecretUnavailable


class VaultRouter(Protocol):
    """Sends a reference to the backend that it names."""

    def read(self, ref: SecretRef) -> Mapping[str, Secret]:
        """The secret's fields; SecretUnavailable, with the reason, where they cannot be had."""
        ...


class NoVaults:
    """The vault router of a gateway without a vault."""

    def read(self, ref: SecretRef) -> Mapping[str, Secret]:
        raise SecretUnavailable(f"no vault backend is configured, so {ref} cannot be read")
