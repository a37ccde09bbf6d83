"""What a vault is to the rest: a reference goes in, fields of secrets come out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from llmauth.secrets import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretRef:
    """One secret of one backend: `path` is its path or name there, `field` the one wanted of several."""

    backend: str
    path: str
    field: str | None = None

    def __str__(self) -> str:
        return f"{self.backend}:{self.path}" + (f"#{self.field}" if self.field else "")


class SecretUnavailable(Exception):
    """The secret cannot be read; the message says why, for the log, and holds no value."""


class VaultBackend(Protocol):
    """One vault product. Blocks; whoever calls it does so beside the event loop."""

    def read(self, ref: SecretRef) -> Mapping[str, Secret]:
        """The secret's fields; SecretUnavailable when it is not there, not allowed, or the vault does not answer."""
        ...
