"""As whom the vaults of the clouds are asked: the identity that this process has at each cloud, found and kept."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

from llmauth.credentials.aws_profile import AwsProfileOptions, AwsProfileStrategy
from llmauth.credentials.base import CredentialStrategy, Surroundings
from llmauth.credentials.entra import Entra
from llmauth.credentials.environment import EnvironmentOptions, EnvironmentStrategy, entra_application
from llmauth.credentials.exchange import Exchanged
from llmauth.credentials.google import Google
from llmauth.credentials.google.credential_file import CredentialFileStrategy
from llmauth.credentials.kept import Kept
from llmauth.credentials.workload_identity.aws import AwsWorkloadIdentity, AwsWorkloadIdentityOptions
from llmauth.credentials.workload_identity.azure import AzureWorkloadIdentity, AzureWorkloadIdentityOptions
from llmauth.credentials.workload_identity.gcp import GcpWorkloadIdentity, GcpWorkloadIdentityOptions
from llmauth.secrets import AwsKeys, BearerToken, EntraClient, Loaded
from llmauth.sources import SourceUnavailable
from llmauth.vaults.base import Identities


def identities(surroundings: Surroundings) -> Identities:
    """The identities of this process; nothing is asked before somebody needs one."""
    aws = AwsIdentity(replace(surroundings, provider="bedrock", instance="vault"))
    azure = AzureIdentity(replace(surroundings, provider="azure", instance="vault"))
    gcp = GcpIdentity(replace(surroundings, provider="vertex", instance="vault"))
    return Identities(
        aws=aws,
        azure=azure,
        gcp=gcp,
        no_aws=aws.unavailable,
        no_azure=azure.unavailable,
        no_gcp=gcp.unavailable,
        forget_aws=aws.forget,
        forget_azure=azure.forget,
        forget_gcp=gcp.forget,
    )


class AwsIdentity:
    """Keys of the environment, the workload's own, or those of a profile: the first that there are, while young."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._order: Sequence[CredentialStrategy] = (
            *_of_environment(surroundings),
            AwsWorkloadIdentity(AwsWorkloadIdentityOptions(), surroundings),
            AwsProfileStrategy(AwsProfileOptions(), surroundings),
        )
        self._kept = Kept(lambda: _first(self._order, "AWS", AwsKeys), surroundings.clock)

    def unavailable(self) -> str | None:
        """Why there certainly is none."""
        return _none_of(self._order, "AWS")

    def forget(self) -> None:
        """AWS refused the keys: find others the next time."""
        self._kept.forget()

    def __call__(self) -> AwsKeys:
        credential = self._kept.get().credential
        assert isinstance(credential, AwsKeys)
        return credential


def _of_environment(surroundings: Surroundings) -> Sequence[CredentialStrategy]:
    # Without a key pair it would find Bedrock's own API key, which is nobody to a vault.
    pair = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    given = any(map(surroundings.environ.get, pair))
    return (EnvironmentStrategy(EnvironmentOptions(), surroundings),) if given else ()


class AzureIdentity:
    """Tokens for the application of the environment, else for the workload's own identity; one kept for each scope."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._entra = Entra(surroundings.outbound, surroundings.environ)
        self._lock = threading.Lock()
        self._kept: dict[str, Kept] = {}

    def unavailable(self) -> str | None:
        """Why there is certainly none."""
        if self._surroundings.environ.get("AZURE_CLIENT_SECRET"):
            return None
        reason = AzureWorkloadIdentity(AzureWorkloadIdentityOptions(), self._surroundings).unavailable()
        return None if reason is None else _nobody("Azure", ["AZURE_CLIENT_SECRET is not set", reason])

    def forget(self) -> None:
        """Azure refused a token: ask for others the next time."""
        self._kept = {}

    def __call__(self, scope: str) -> BearerToken:
        with self._lock:
            kept = self._kept.setdefault(scope, Kept(lambda: self._load(scope), self._surroundings.clock))
        credential = kept.get().credential
        assert isinstance(credential, BearerToken)
        return credential

    def _load(self, scope: str) -> Loaded:
        absent = self.unavailable()
        if absent is not None:
            raise SourceUnavailable(absent)
        if not self._surroundings.environ.get("AZURE_CLIENT_SECRET"):
            return AzureWorkloadIdentity(AzureWorkloadIdentityOptions(scope=scope), self._surroundings).load()
        found = entra_application(self._surroundings.environ)
        assert isinstance(found.credential, EntraClient)
        wall = self._surroundings.clock.wall()
        token, life = self._entra.for_application(found.credential, scope)
        return Loaded(credential=BearerToken(value=token), source=found.source, expires_at=wall + life)


class GcpIdentity:
    """A token for the account of the environment's credential file, or the workload's own, while it is young.

    An API key is nobody to a vault.
    """

    def __init__(self, surroundings: Surroundings) -> None:
        clock = surroundings.clock
        file = Exchanged(CredentialFileStrategy(surroundings.machine), Google(surroundings.outbound), clock)
        self._order: Sequence[CredentialStrategy] = (
            file,
            GcpWorkloadIdentity(GcpWorkloadIdentityOptions(), surroundings),
        )
        self._file = file
        self._kept = Kept(lambda: _first(self._order, "Google", BearerToken), clock)

    def unavailable(self) -> str | None:
        """Why there certainly is none."""
        return _none_of(self._order, "Google")

    def forget(self) -> None:
        """Google refused the token: ask for another the next time."""
        self._file.forget()
        self._kept.forget()

    def __call__(self) -> BearerToken:
        credential = self._kept.get().credential
        assert isinstance(credential, BearerToken)
        return credential


def _first(order: Sequence[CredentialStrategy], cloud: str, kind: type) -> Loaded:
    """What the first of them gives; a broken one ends the search, as everywhere: it was meant."""
    reasons = []
    for strategy in order:
        try:
            found = strategy.load()
        except SourceUnavailable as absent:
            reasons.append(absent.reason)
            continue
        if isinstance(found.credential, kind):
            return found
        reasons.append(f"{found.source} is of another kind")
    raise SourceUnavailable(_nobody(cloud, reasons))


def _none_of(order: Sequence[CredentialStrategy], cloud: str) -> str | None:
    """Why none of them can be there, without asking; `None` where one may be."""
    reasons = [strategy.unavailable() for strategy in order]
    told = [reason for reason in reasons if reason is not None]
    return _nobody(cloud, told) if len(told) == len(reasons) else None


def _nobody(cloud: str, reasons: Sequence[str]) -> str:
    return f"this process has no identity of {cloud}: {'; '.join(reasons)}"
