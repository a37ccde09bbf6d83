"""What a vault is to the rest: a reference goes in, a secret comes out, with the time it lives where it is lent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict

from llmauth.clock import Clock, SystemClock
from llmauth.outbound import Outbound
from llmauth.platform import Machine
from llmauth.secrets import AwsKeys, BearerToken, Secret
from llmauth.sources import SourceUnavailable

BackendName = Literal["hashicorp", "aws_secrets_manager", "azure_key_vault", "gcp_secret_manager"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretRef:
    """One secret of one backend: `path` is its path or name there, `field` the one wanted of several."""

    backend: BackendName
    path: str
    field: str | None = None

    def __str__(self) -> str:
        return f"{self.backend}:{self.path}" + (f"#{self.field}" if self.field else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultSecret:
    """What a vault gave: fields, or one text that may be a JSON object of fields.

    `life` is the seconds for which it is lent, `None` for one that is only kept there. `version` tells people which one
    it is.
    """

    content: Mapping[str, Secret] | Secret
    life: float | None = None
    version: str | None = None


class Vaults(Protocol):
    """All vaults of a gateway, as a strategy sees them."""

    def unavailable(self, ref: SecretRef) -> str | None:
        """Why the backend that a reference names certainly cannot be asked; `None` where only `read` can tell."""
        ...

    def read(self, ref: SecretRef) -> VaultSecret:
        """The secret, of which `field` is for the caller to choose; blocks.

        Raises SourceUnavailable where the backend is not configured, or nobody here may ask it, and SourceFailed where
        it refuses, does not answer, or does not hold the secret.
        """
        ...

    def forget(self, ref: SecretRef) -> None:
        """A provider refused what was read: the next read gives another, where the backend makes them. Never blocks."""
        ...


class VaultBackend(Protocol):
    """One vault product, as it is configured; called beside the event loop, and from several threads at a time."""

    def unavailable(self) -> str | None:
        """Why it certainly cannot be asked from here, told without asking it; `None` where only `read` can tell."""
        ...

    def read(self, path: str) -> VaultSecret:
        """The secret of this path or name. Raises SourceUnavailable or SourceFailed."""
        ...

    def forget(self, path: str) -> None:
        """Keep nothing that was lent for this path. Never blocks."""
        ...


def _maybe() -> str | None:
    """Nobody can tell without asking."""


def _nothing() -> None:
    """Nothing is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identities:
    """As whom the vaults of the clouds are asked: each gives what is held, or fetches it, and blocks.

    They raise SourceUnavailable where this process has no such identity, SourceFailed where it is broken. `azure` takes
    the scope of the token: `https://vault.azure.net/.default`.
    `no_aws`, `no_azure` and `no_gcp` say why there certainly is none, told without the network; `None` where only
    asking tells. `forget_aws` and its like are told when the cloud does not accept what it was shown, so that another
    is found.
    """

    aws: Callable[[], AwsKeys]
    azure: Callable[[str], BearerToken]
    gcp: Callable[[], BearerToken]
    no_aws: Callable[[], str | None] = _maybe
    no_azure: Callable[[], str | None] = _maybe
    no_gcp: Callable[[], str | None] = _maybe
    forget_aws: Callable[[], None] = _nothing
    forget_azure: Callable[[], None] = _nothing
    forget_gcp: Callable[[], None] = _nothing


class VaultOptions(BaseModel):
    """Base of a backend's options: frozen, no unknown key, and no error that repeats what was written."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultSurroundings:
    """Where a backend stands: on which machine, how it reaches others, and as whom."""

    machine: Machine
    identities: Identities
    outbound: Outbound = field(default_factory=Outbound)
    clock: Clock = field(default_factory=SystemClock)


class NoVaults:
    """The vaults of who has none."""

    def unavailable(self, ref: SecretRef) -> str | None:
        return f"no vault is configured, so {ref} cannot be read"

    def read(self, ref: SecretRef) -> VaultSecret:
        raise SourceUnavailable(f"no vault is configured, so {ref} cannot be read")

    def forget(self, ref: SecretRef) -> None:
        """Nothing was read."""
