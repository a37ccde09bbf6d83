"""A credential in an environment variable: one that is named, or the ones that each provider's own tools read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from llmauth.context import ProviderType
from llmauth.credentials import oci_cli
from llmauth.credentials.base import Options, Surroundings, moment
from llmauth.credentials.fields import credential_at
from llmauth.credentials.google.credential_file import VARIABLE, CredentialFileStrategy
from llmauth.secrets import Loaded, Secret
from llmauth.sources import SourceFailed, SourceUnavailable

_DEFAULT_VARIABLE: Mapping[ProviderType, str] = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "bedrock": "AWS_BEARER_TOKEN_BEDROCK",
    "ibm": "WATSONX_APIKEY",
}
# Of those whose tools read keys and tokens from different variables: the field that each of them stands for.
_BY_FIELD: Mapping[ProviderType, Mapping[str, str]] = {
    "azure": {"AZURE_OPENAI_API_KEY": "api_key", "AZURE_OPENAI_AD_TOKEN": "token"},
    "vertex": {"GOOGLE_API_KEY": "api_key", "GOOGLE_OAUTH_ACCESS_TOKEN": "token"},
}
# An application of Entra, as Microsoft's own libraries read it.
_APPLICATION = {"AZURE_TENANT_ID": "tenant_id", "AZURE_CLIENT_ID": "client_id", "AZURE_CLIENT_SECRET": "client_secret"}
# A second name, read where the first is not set: IBM's own tools know both.
_OTHER_VARIABLE: Mapping[str, str] = {"WATSONX_APIKEY": "IBM_CLOUD_API_KEY"}


class EnvironmentOptions(Options):
    """`{type: environment, variable: OPENAI_API_KEY}`; without `variable`, the standard names of the provider."""

    type: Literal["environment"] = "environment"
    variable: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None


class EnvironmentStrategy:
    """Reads the environment this process was started with."""

    label = "environment"

    def __init__(self, options: EnvironmentOptions, surroundings: Surroundings) -> None:
        self._named = options.variable
        self._provider = surroundings.provider
        self._environ = surroundings.environ
        self._machine = surroundings.machine

    def unavailable(self) -> str | None:
        try:
            self.load()
        except SourceUnavailable as absent:
            return absent.reason
        except SourceFailed:
            return None
        return None

    def load(self) -> Loaded:
        if self._named is None and self._provider == "bedrock" and self._holds_aws_keys():
            return self._aws_keys()
        if self._named is None and self._provider == "oracle":
            return oci_cli.load(self._environ)
        if self._named is None and self._provider == "azure" and self._holds_application():
            return entra_application(self._environ)
        if self._named is None and self._provider == "vertex" and self._names_credential_file():
            return CredentialFileStrategy(self._machine).load()
        if self._named is None and self._provider in _BY_FIELD:
            return self._by_field(_BY_FIELD[self._provider])
        name = self._named or self._default()
        if name is None:
            raise SourceUnavailable(f"type {self._provider} has no variable of its own here; name one: `variable: …`")
        return self._variable(name)

    def _default(self) -> str | None:
        first = _DEFAULT_VARIABLE.get(self._provider)
        second = _OTHER_VARIABLE.get(first or "")
        return second if second is not None and first not in self._environ and second in self._environ else first

    def _by_field(self, fields: Mapping[str, str]) -> Loaded:
        given = [name for name in fields if self._environ.get(name)] or [n for n in fields if n in self._environ]
        if not given:
            raise SourceUnavailable(f"neither of the environment variables {' and '.join(fields)} is set")
        place = f"environment variable {' and '.join(given)}"
        values = {fields[name]: Secret(self._environ[name]) for name in given}
        return Loaded(credential=credential_at(place, values, self._provider), source=place)

    def _variable(self, name: str) -> Loaded:
        value = self._environ.get(name)
        if value is None:
            raise SourceUnavailable(f"the environment variable {name} is not set")
        place = f"environment variable {name}"
        return Loaded(credential=credential_at(place, value, self._provider), source=place)

    def _holds_application(self) -> bool:
        # A key of the service itself says more than an application, which may be there for something else.
        keys = any(name in self._environ for name in _BY_FIELD["azure"])
        return not keys and bool(self._environ.get("AZURE_CLIENT_SECRET"))

    def _names_credential_file(self) -> bool:
        # Likewise: the file may be there for something else of Google's.
        return not any(name in self._environ for name in _BY_FIELD["vertex"]) and bool(self._environ.get(VARIABLE))

    def _holds_aws_keys(self) -> bool:
        # Both names count: a secret without its id is a mistake to be told, not a reason to look elsewhere.
        return bool(self._environ.get("AWS_ACCESS_KEY_ID") or self._environ.get("AWS_SECRET_ACCESS_KEY"))

    def _aws_keys(self) -> Loaded:
        fields: dict[str, Secret] = {}
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            if not self._environ.get(name):
                raise SourceFailed(f"the environment holds one half of an AWS key pair: {name} is empty or not set")
            fields[name] = Secret(self._environ[name])
        if token := self._environ.get("AWS_SESSION_TOKEN"):
            fields["AWS_SESSION_TOKEN"] = Secret(token)
        credential = credential_at("the AWS variables of the environment", fields, self._provider)
        return Loaded(
            credential=credential, source="environment variable AWS_ACCESS_KEY_ID", expires_at=self._expiration()
        )

    def _expiration(self) -> float | None:
        # Written by `aws configure export-credentials --format env` beside temporary keys.
        written = self._environ.get("AWS_CREDENTIAL_EXPIRATION")
        if not written:
            return None
        try:
            return moment(written)
        except ValueError:
            raise SourceFailed("AWS_CREDENTIAL_EXPIRATION is no ISO 8601 time") from None


def entra_application(environ: Mapping[str, str]) -> Loaded:
    """The application of Entra that the environment holds, told by its secret: the two ids alone are also those of a
    workload identity. Raises SourceUnavailable without one, SourceFailed for a part of one."""
    if not environ.get("AZURE_CLIENT_SECRET"):
        raise SourceUnavailable("the environment variable AZURE_CLIENT_SECRET is not set")
    missing = [name for name in _APPLICATION if not environ.get(name)]
    if missing:
        raise SourceFailed(f"the environment holds a part of an Entra application: {' and '.join(missing)} is not set")
    fields = {field: Secret(environ[name]) for name, field in _APPLICATION.items()}
    credential = credential_at("the AZURE variables of the environment", fields, "azure")
    return Loaded(credential=credential, source="environment variable AZURE_CLIENT_SECRET")
