"""Where credentials come from: one file a strategy, and the table that finds its class by its options."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from llmauth.clock import Clock, SystemClock
from llmauth.context import ProviderType
from llmauth.credentials.aws_profile import AwsProfileOptions, AwsProfileStrategy
from llmauth.credentials.base import CredentialStrategy, Options, Surroundings, quiet_libraries
from llmauth.credentials.environment import EnvironmentOptions, EnvironmentStrategy
from llmauth.credentials.exchange import Exchanged
from llmauth.credentials.file import FileOptions, FileStrategy
from llmauth.credentials.ibm_iam import IbmIam
from llmauth.credentials.keyring import KeyringOptions, KeyringStrategy
from llmauth.credentials.later import (
    KubernetesSecretOptions,
    LaterStrategy,
    OtherWorkloadIdentityOptions,
    VaultOptions,
)
from llmauth.credentials.outbound import Outbound
from llmauth.credentials.workload_identity.aws import AwsWorkloadIdentity, AwsWorkloadIdentityOptions

WorkloadIdentityOptions = Annotated[
    AwsWorkloadIdentityOptions | OtherWorkloadIdentityOptions, Field(discriminator="provider")
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
    OtherWorkloadIdentityOptions: LaterStrategy,
    VaultOptions: LaterStrategy,
    KubernetesSecretOptions: LaterStrategy,
}

_AWS_ONLY = (AwsWorkloadIdentityOptions, AwsProfileOptions)


def build(
    options: Options,
    instance: str,
    provider: ProviderType,
    environ: Mapping[str, str],
    *,
    region: str | None = None,
    outbound: Outbound | None = None,
    clock: Clock | None = None,
) -> CredentialStrategy:
    """The strategy of these options for one instance; `region` is where its provider stands, if it stands anywhere.

    `outbound` is the way to token services, for types whose keys are exchanged there.
    Raises ValueError for a strategy whose credentials this type of provider cannot use.
    """
    reason = unfit(options, provider)
    if reason is not None:
        raise ValueError(reason)
    # Here and not where logging is set up: nobody can build what talks to AWS and forget it.
    quiet_libraries()
    surroundings = Surroundings(instance=instance, provider=provider, environ=environ, region=region)
    strategy = _TABLE[type(options)](options, surroundings)
    if provider == "ibm":
        return Exchanged(strategy, IbmIam(outbound or Outbound()), clock or SystemClock())
    return strategy


def unfit(options: Options, provider: ProviderType) -> str | None:
    """Why these options can never serve this type of provider, `None` if they can."""
    if isinstance(options, _AWS_ONLY) and provider != "bedrock":
        return f"AWS credentials sign requests to Bedrock; an instance of type {provider} has no use for them"
    return None


def defaults_for(provider: ProviderType) -> Sequence[Options]:
    """The strategies of an instance that names none."""
    if provider == "bedrock":
        return (EnvironmentOptions(), AwsWorkloadIdentityOptions(), AwsProfileOptions())
    return (EnvironmentOptions(),) if provider in ("openai", "anthropic", "azure", "vertex", "ibm", "oracle") else ()
