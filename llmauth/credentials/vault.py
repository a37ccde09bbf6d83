"""A credential in a vault, read by whichever backend the configuration names."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from llmauth.credentials.base import Options, Seconds, Surroundings
from llmauth.credentials.fields import credential_at
from llmauth.outbound.objects import json_object
from llmauth.secrets import Loaded, Secret
from llmauth.sources import SourceFailed
from llmauth.vaults.base import BackendName, SecretRef, VaultSecret

REFRESH_AFTER = 60.0

_Text = Annotated[str, Field(min_length=1)]


class VaultOptions(Options):
    """`{type: vault, backend: hashicorp, path: aws/sts/bedrock-role}`, or `secret_name` for the clouds' stores."""

    type: Literal["vault"] = "vault"
    backend: BackendName
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


class VaultStrategy:
    """A secret that is kept there is read again every minute, to follow its rotation; a lent one ends when it says."""

    def __init__(self, options: VaultOptions, surroundings: Surroundings) -> None:
        self.label = f"vault ({options.backend})"
        self._ref = SecretRef(
            backend=options.backend, path=options.path or options.secret_name or "", field=options.field
        )
        self._vaults = surroundings.vaults
        self._provider = surroundings.provider
        self._clock = surroundings.clock
        self._refresh_after = options.refresh_interval or REFRESH_AFTER

    def unavailable(self) -> str | None:
        return self._vaults.unavailable(self._ref)

    def load(self) -> Loaded:
        secret = self._vaults.read(self._ref)
        place = str(self._ref)
        lent = secret.life is not None
        return Loaded(
            credential=credential_at(place, _chosen(secret, self._ref), self._provider),
            source=place if secret.version is None else f"{place}, version {secret.version}",
            expires_at=self._clock.wall() + secret.life if secret.life is not None else None,
            refresh_after=None if lent else self._refresh_after,
        )

    def forget(self) -> None:
        """The provider refused it: what the vault lent is not asked for again."""
        self._vaults.forget(self._ref)


def _chosen(secret: VaultSecret, ref: SecretRef) -> dict[str, Secret] | str:
    """What of the secret is meant: all of it, or the one field that the configuration names."""
    content = secret.content
    if ref.field is None:
        return content.reveal() if isinstance(content, Secret) else dict(content)
    fields = _fields(content.reveal(), ref) if isinstance(content, Secret) else dict(content)
    if ref.field not in fields:
        raise SourceFailed(f"{ref.backend}:{ref.path} has no field of the name that is configured, {ref.field}")
    return fields[ref.field].reveal()


def _fields(text: str, ref: SecretRef) -> dict[str, Secret]:
    told = json_object(text)
    if told is None:
        raise SourceFailed(f"{ref.backend}:{ref.path} is one text and has no fields; leave out `field`")
    return {name: Secret(value) for name, value in told.items() if isinstance(value, str)}
