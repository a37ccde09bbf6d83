"""Strategies of later versions: their options are valid already, so that a whole configuration can be written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from llmauth.credentials.base import Options, Seconds, StrategyUnavailable, Surroundings
from llmauth.secrets import Loaded

_Text = Annotated[str, Field(min_length=1)]
_Backend = Literal["hashicorp", "aws_secrets_manager", "azure_key_vault", "gcp_secret_manager"]


class VaultOptions(Options):
    """`{type: vault, backend: hashicorp, path: aws/sts/bedrock-role}`, or `secret_name` for the clouds' stores."""

    type: Literal["vault"] = "vault"
    backend: _Backend
    path: _Text | None = None
    secret_name: _Text | None = None
    field: _Text | None = None
    refresh_interval: Seconds | None = None

    @model_validator(mode="after")
    def _names_its_secret(self) -> Self:
        wanted, other = ("path", "secret_name") if self.backend == "hashicorp" else ("secret_name", "path")
        if getattr(self, wanted) is None:
            raise ValueError(f"backend {self.backend} wants `{wanted}`")
        if getattr(self, other) is not None:
            raise ValueError(f"backend {self.backend} wants `{wanted}` and knows no `{other}`")
        return self

    @property
    def label(self) -> str:
        return f"vault ({self.backend})"


class KubernetesSecretOptions(Options):
    """`{type: kubernetes_secret, secret_name: bedrock-credentials}`."""

    type: Literal["kubernetes_secret"] = "kubernetes_secret"
    secret_name: _Text
    namespace: _Text | None = None
    key: _Text | None = None
    mount_path: Path | None = None
    refresh_interval: Seconds | None = None

    @property
    def label(self) -> str:
        return "kubernetes_secret"


class OtherWorkloadIdentityOptions(Options):
    """`{type: workload_identity, provider: azure}`; `profile` is IBM's trusted profile."""

    type: Literal["workload_identity"] = "workload_identity"
    provider: Literal["azure", "gcp", "oci", "ibm"]
    profile: _Text | None = None
    allow_node_identity: bool | None = None

    @property
    def label(self) -> str:
        return f"workload_identity ({self.provider})"


LaterOptions = VaultOptions | KubernetesSecretOptions | OtherWorkloadIdentityOptions


class LaterStrategy:
    """Says that it is not there yet, so that the next strategy is asked."""

    def __init__(self, options: LaterOptions, surroundings: Surroundings) -> None:
        self.label = options.label

    def load(self) -> Loaded:
        raise StrategyUnavailable(f"{self.label} is not available in this version")
