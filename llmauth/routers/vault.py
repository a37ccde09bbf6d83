"""The vault router: which backend holds a secret?"""

from __future__ import annotations

from collections.abc import Mapping

from llmauth.vaults.base import BackendName, SecretRef, VaultBackend, VaultSecret


class VaultRouter:
    """Sends a reference to the backend that it names."""

    def __init__(self, backends: Mapping[BackendName, VaultBackend]) -> None:
        self._backends = backends

    def unavailable(self, ref: SecretRef) -> str | None:
        """Why the backend certainly cannot be asked; `None` where only `read` can tell."""
        return self._backends[ref.backend].unavailable()

    def read(self, ref: SecretRef) -> VaultSecret:
        """The secret; blocks. Raises SourceUnavailable or SourceFailed, with the reason."""
        return self._backends[ref.backend].read(ref.path)

    def forget(self, ref: SecretRef) -> None:
        """A provider refused what was read: the next read shall give another. Never blocks."""
        self._backends[ref.backend].forget(ref.path)
