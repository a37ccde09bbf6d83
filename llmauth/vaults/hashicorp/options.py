"""The section `vaults.hashicorp`: where Vault is, whose certificate it shows, and how we log in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from llmauth.vaults.base import VaultOptions
from llmauth.vaults.hashicorp.place import checked_address


def _nothing(value: object) -> object:
    """`${VAULT_NAMESPACE:-}` becomes an empty text, and means the same as no line at all."""
    return None if value == "" else value


def _address(value: str) -> str:
    return checked_address(value) if value else ""


_Blank = BeforeValidator(_nothing)
# Each of these becomes a part of a URL or of a header.
_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.@:+=/-]{1,256}$")]
_OptionalName = Annotated[_Name | None, _Blank]
_OptionalPath = Annotated[Path | None, _Blank]
_OptionalSecret = Annotated[SecretStr | None, _Blank]


class TokenAuth(VaultOptions):
    """`{method: token}`: a token as it is; without one, VAULT_TOKEN, and what `vault login` left in the home folder."""

    method: Literal["token"] = "token"
    token: _OptionalSecret = None
    token_file: _OptionalPath = None

    @model_validator(mode="after")
    def _one_token(self) -> Self:
        if self.token is not None and self.token_file is not None:
            raise ValueError("`token` and `token_file` are two tokens; keep the one that is meant")
        return self


class KubernetesAuth(VaultOptions):
    """`{method: kubernetes}`: the service account of the pod, as the role given, that of VAULT_ROLE, or `llmauth`."""

    method: Literal["kubernetes"] = "kubernetes"
    role: _OptionalName = None
    mount: _Name = "kubernetes"
    token_file: _OptionalPath = None


class AppRoleAuth(VaultOptions):
    """`{method: approle}`: without values of their own, VAULT_ROLE_ID and VAULT_SECRET_ID."""

    method: Literal["approle"] = "approle"
    mount: _Name = "approle"
    role_id: _OptionalSecret = None
    role_id_file: _OptionalPath = None
    secret_id: _OptionalSecret = None
    secret_id_file: _OptionalPath = None

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        for name in ("role_id", "secret_id"):
            if getattr(self, name) is not None and getattr(self, f"{name}_file") is not None:
                raise ValueError(f"`{name}` and `{name}_file` say the same in two ways; keep the one that is meant")
        return self


class JwtAuth(VaultOptions):
    """`{method: jwt, role: llmauth, token_file: /var/run/secrets/tokens/vault}`: a token of any issuer Vault knows."""

    method: Literal["jwt"] = "jwt"
    role: _OptionalName = None
    mount: _Name = "jwt"
    token: _OptionalSecret = None
    token_file: _OptionalPath = None

    @model_validator(mode="after")
    def _one_token(self) -> Self:
        if (self.token is None) == (self.token_file is None):
            raise ValueError("method jwt wants `token_file`, or `token` in its place")
        return self


class AwsAuth(VaultOptions):
    """`{method: aws}`: who we are at AWS. `header_value` is the server's own `iam_server_id_header_value`."""

    method: Literal["aws"] = "aws"
    role: _OptionalName = None
    mount: _Name = "aws"
    header_value: _OptionalName = None
    region: Annotated[Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z0-9]+)+-[0-9]+$")] | None, _Blank] = None


Auth = TokenAuth | KubernetesAuth | AppRoleAuth | JwtAuth | AwsAuth
AuthOptions = Annotated[Auth, Field(discriminator="method")]


class HashicorpOptions(VaultOptions):
    """`vaults.hashicorp`: HashiCorp Vault or OpenBao. What is empty is read from VAULT_ADDR, VAULT_NAMESPACE and
    VAULT_CACERT."""

    address: Annotated[str, AfterValidator(_address)] = ""
    namespace: _OptionalName = None
    ca_file: _OptionalPath = None
    auth: AuthOptions | None = None
