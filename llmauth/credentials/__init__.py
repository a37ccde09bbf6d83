"""Where credentials come from: one file a strategy, and the table that finds its class by its options."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from llmauth.context import ProviderType
from llmauth.credentials.aws_profile import AwsProfileOptions, AwsProfileStrategy
from llmauth.credentials.base import CredentialStrategy, Options, Surroundings, quiet_libraries
from llmauth.credentials.entra import Entra
from llmauth.credentials.environment import EnvironmentOptions, EnvironmentStrategy
from llmauth.credentials.exchange import Exchanged, TokenService
from llmauth.credentials.file import FileOptions, FileStrategy
from llmauth.credentials.google import Google
from llmauth.credentials.ibm_iam import IbmIam
from llmauth.credentials.keyring import KeyringOptions, KeyringStrategy
from llmauth.credentials.kubernetes_secret import KubernetesSecretOptions, KubernetesSecretStrategy
from llmauth.credentials.vault import VaultOptions, VaultStrategy
from llmauth.credentials.workload_identity.aws import AwsWorkloadIdentity, AwsWorkloadIdentityOptions
from llmauth.credentials.workload_identity.azure import AzureWorkloadIdentity, AzureWorkloadIdentityOptions
from llmauth.credentials.workload_identity.gcp import GcpWorkloadIdentity, GcpWorkloadIdentityOptions
from llmauth.credentials.workload_identity.ibm import IbmWorkloadIdentity, IbmWorkloadIdentityOptions
from llmauth.credentials.workload_identity.oci import OciWorkloadIdentity, OciWorkloadIdentityOptions

WorkloadIdentityOptions = Annotated[
    AwsWorkloadIdentityOptions
    | AzureWorkloadIdentityOptions
    | GcpWorkloadIdentityOptions
    | OciWorkloadIdentityOptions
    | IbmWorkloadIdentityOptions,
    Field(discriminator="provider"),
]
StrategyOptions = Annotated[
    EnvironmentOptions
    | FileOptions
    | KeyringOptions
    | AwsProfileOptions
    | WorkloadIdentityOptions
    | VaultOptions
    | KubernetesSecretOptions,
    Field(discriminator="type"),
]
"""One entry of `authentication.strategies`, told by its `type` (a workload identity by its `provider` as well)."""

_TABLE: Mapping[type[Options], Callable[[Any, Surroundings], CredentialStrategy]] = {
    EnvironmentOptions: EnvironmentStrategy,
    FileOptions: FileStrategy,
    KeyringOptions: KeyringStrategy,
    AwsProfileOptions: AwsProfileStrategy,
    AwsWorkloadIdentityOptions: AwsWorkloadIdentity,
    AzureWorkloadIdentityOptions: AzureWorkloadIdentity,
    GcpWorkloadIdentityOptions: GcpWorkloadIdentity,
    OciWorkloadIdentityOptions: OciWorkloadIdentity,
    IbmWorkloadIdentityOptions: IbmWorkloadIdentity,
    VaultOptions: VaultStrategy,
    KubernetesSecretOptions: KubernetesSecretStrategy,
}

_SERVICES: Mapping[ProviderType, Callable[[Surroundings], TokenService]] = {
    "ibm": lambda here: IbmIam(here.outbound),
    "vertex": lambda here: Google(here.outbound),
    "azure": lambda here: Entra(here.outbound, here.environ),
}

# Which type of provider each cloud's own identity is for.
_PROVIDER_OF: Mapping[type[Options], ProviderType] = {
    AwsProfileOptions: "bedrock",
    AwsWorkloadIdentityOptions: "bedrock",
    AzureWorkloadIdentityOptions: "azure",
    GcpWorkloadIdentityOptions: "vertex",
    OciWorkloadIdentityOptions: "oracle",
    IbmWorkloadIdentityOptions: "ibm",
}
_OWN_IDENTITY: Mapping[ProviderType, Options] = {
    "azure": AzureWorkloadIdentityOptions(),
    "vertex": GcpWorkloadIdentityOptions(),
    "oracle": OciWorkloadIdentityOptions(),
    "ibm": IbmWorkloadIdentityOptions(),
}


def build(options: Options, surroundings: Surroundings) -> CredentialStrategy:
    """The strategy of these options for the instance that its surroundings name.

    Raises ValueError for a strategy whose credentials this type of provider cannot use.
    """
    reason = unfit(options, surroundings.provider)
    if reason is not None:
        raise ValueError(reason)
    # Here and not where logging is set up: nobody can build what talks to a cloud and forget it.
    quiet_libraries()
    strategy = _TABLE[type(options)](options, surroundings)
    service = _SERVICES.get(surroundings.provider)
    return strategy if service is None else Exchanged(strategy, service(surroundings), surroundings.clock)


def unfit(options: Options, provider: ProviderType) -> str | None:
    """Why these options can never serve this type of provider, `None` if they can."""
    wanted = _PROVIDER_OF.get(type(options), provider)
    if wanted == provider:
        return None
    if wanted == "bedrock":
        return f"AWS credentials sign requests to Bedrock; an instance of type {provider} has no use for them"
    return f"this identity is for instances of type {wanted}; one of type {provider} has no use for it"


def defaults_for(provider: ProviderType) -> Sequence[Options]:
    """The strategies of an instance that names none."""
    if provider == "bedrock":
        return (EnvironmentOptions(), AwsWorkloadIdentityOptions(), AwsProfileOptions())
    if provider in _OWN_IDENTITY:
        return (EnvironmentOptions(), _OWN_IDENTITY[provider])
    return (EnvironmentOptions(),) if provider in ("openai", "anthropic") else ()
