"""Every strategy that asks a network: its machine, its emulated services, and what of them fails in an outage."""

from __future__ import annotations

import http.client
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from botocore.session import Session

from llmauth import credentials, vaults
from llmauth.addresses import HostPort
from llmauth.clock import Clock, SystemClock
from llmauth.context import ProviderType
from llmauth.credentials.base import CredentialStrategy, Options, Surroundings
from llmauth.credentials.environment import EnvironmentOptions
from llmauth.credentials.identities import identities
from llmauth.credentials.kubernetes_secret import KubernetesSecretOptions
from llmauth.credentials.vault import VaultOptions
from llmauth.credentials.workload_identity.aws import AwsWorkloadIdentityOptions
from llmauth.credentials.workload_identity.azure import AzureWorkloadIdentityOptions
from llmauth.credentials.workload_identity.compute_token import IN_A_POD
from llmauth.credentials.workload_identity.gcp import GcpWorkloadIdentityOptions
from llmauth.credentials.workload_identity.ibm import IbmWorkloadIdentityOptions
from llmauth.credentials.workload_identity.oci import OciWorkloadIdentityOptions
from llmauth.outbound import Outbound
from llmauth.platform import Machine, Platform, SimulatedMachine
from llmauth.platform.detector import detect
from llmauth.routers.vault import VaultRouter
from llmauth.secrets import Loaded
from llmauth.vaults import VaultsOptions
from llmauth.vaults.base import VaultSurroundings
from llmauth.vaults.hashicorp.methods import SERVICE_ACCOUNT_TOKEN
from tests.emulators.azure_imds import HEADER, AppServiceEmulator, ImdsEmulator
from tests.emulators.container_credentials import ContainerCredentials
from tests.emulators.entra import CLIENT, SECRET, TENANT, EntraEmulator, cluster_token, reaching
from tests.emulators.gcp_metadata import GcpMetadata
from tests.emulators.google_sts import (
    ACCOUNT,
    GoogleTokens,
    external_account_file,
    impersonation_url,
    leading,
    service_account_file,
)
from tests.emulators.ibm_iam import HOST as IBM
from tests.emulators.ibm_iam import Account, IbmIamEmulator, IbmMetadataEmulator
from tests.emulators.imds import Imds
from tests.emulators.key_vault import HOST as KEY_VAULT
from tests.emulators.key_vault import KeyVaultEmulator
from tests.emulators.kubernetes_api import KubernetesApi
from tests.emulators.oci_identity import OKE_HOST, OciFederation, OciMetadata, OkeTokens, Realm
from tests.emulators.secret_manager import SecretManager
from tests.emulators.service import Call, Fault, Reply, Service, eventually
from tests.emulators.sts import Role as StsRole
from tests.emulators.sts import Sts
from tests.emulators.vault import Role as VaultRole
from tests.emulators.vault import VaultEmulator
from tests.fixtures.kubernetes import Pod

Outage = Fault | Literal["down"]
OUTAGES: tuple[Outage, ...] = ("down", "slow", "garbage", "refuse", "broken")

SHORT, LONG = 240, 36_000
"""What credentials live, in seconds: those that meet an outage, and those that are given after it."""

_POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}
_ROLE = "arn:aws:iam::123456789012:role/bedrock-proxy"
_GUEST = "arn:aws:iam::210987654321:role/bedrock-guest"
_SUBJECT = "system:serviceaccount:llm:proxy"


class Ahead(SystemClock):
    """The machine's clocks, that a test moves on."""

    def __init__(self) -> None:
        self._by = 0.0

    def wall(self) -> float:
        return super().wall() + self._by

    def monotonic(self) -> float:
        return super().monotonic() + self._by

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        self._by += seconds


@dataclass(kw_only=True)
class Row:
    """One strategy before its services.

    `services` are those that fail in an outage, `others` those that do not. `live` sets how long its credentials live
    from now on; it is `None` where they have no end.
    """

    name: str
    provider: ProviderType
    options: Options
    machine: Machine
    outbound: Outbound
    services: Sequence[Service]
    others: Sequence[Service] = ()
    platform: Platform | None = None
    vaults: VaultsOptions = field(default_factory=VaultsOptions)
    live: Callable[[int], None] | None = None
    environ: Mapping[str, str] | None = None

    def strategy(self, clock: Clock) -> CredentialStrategy:
        """As a gateway builds it, with nothing kept of earlier ones."""
        platform = self.platform or replace(detect(self.machine), settled=True)
        here = Surroundings(
            instance=self.name,
            provider=self.provider,
            machine=self.machine,
            platform=platform,
            outbound=self.outbound,
            clock=clock,
        )
        there = VaultSurroundings(
            machine=self.machine, identities=identities(here), outbound=self.outbound, clock=clock
        )
        here = replace(here, vaults=VaultRouter(vaults.build(self.vaults, there)))
        built = credentials.build(self.options, here)
        return built if self.environ is None else _InEnvironment(built, self.environ)


class _InEnvironment:
    """azure-identity reads the environment of its process, of which there is one: those that need it take turns."""

    _turn = threading.Lock()

    def __init__(self, strategy: CredentialStrategy, environ: Mapping[str, str]) -> None:
        self.label = strategy.label
        self.unavailable = strategy.unavailable
        self._strategy = strategy
        self._environ = environ

    def load(self) -> Loaded:
        with self._turn:
            os.environ.update(self._environ)
            try:
                return self._strategy.load()
            finally:
                for name in self._environ:
                    del os.environ[name]


class Forwarding(Service):
    """What stands before a server of another kind, so that it can fail as all the others do."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._place = urlsplit(url).netloc

    def answer(self, call: Call) -> Reply:
        connection = http.client.HTTPConnection(self._place, timeout=10)
        connection.request(call.method, call.target, call.body, dict(call.headers))
        answered = connection.getresponse()
        content = answered.read()
        connection.close()
        kind = answered.getheader("Content-Type", "application/x-amz-json-1.1")
        return Reply(answered.status, content, {"Content-Type": kind})

    def refusal(self, call: Call) -> Reply:
        return Reply(400, {"__type": "AccessDeniedException", "Message": "canary-7f3a"})


class Street:
    """All rows with their services, which run as long as the street stands."""

    def __init__(self, folder: Path, moto: str) -> None:
        self._folder = folder
        self._moto = moto
        self._running = ExitStack()
        self.rows: list[Row] = []

    def __enter__(self) -> Street:
        for build in ROWS:
            self.rows.append(build(self))
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def started[S: Service](self, service: S) -> S:
        """The same, running until the street is torn down."""
        return self._running.enter_context(service)

    def folder(self, name: str) -> Path:
        """A folder of a row's own."""
        folder = self._folder / name
        folder.mkdir()
        return folder

    @property
    def moto(self) -> str:
        """The URL of moto's server."""
        return self._moto

    def live(self, seconds: int) -> None:
        """Give credentials of this life from now on."""
        for row in self.rows:
            if row.live is not None:
                row.live(seconds)

    @contextmanager
    def outage(self, how: Outage) -> Iterator[None]:
        """All fail in this way at a time."""
        services = [service for row in self.rows for service in row.services]
        for service in services:
            _end(service) if how == "down" else setattr(service, "fault", how)
        try:
            yield
        finally:
            for service in services:
                _begin(service) if how == "down" else setattr(service, "fault", None)

    def shown(self) -> set[str]:
        """Every secret that the services were shown."""
        calls = [call for row in self.rows for service in (*row.services, *row.others) for call in service.calls]
        return {secret for call in calls for secret in _secrets(call) if len(secret) >= 20}


_HEADERS = ("authorization", "x-vault-token", "x-aws-ec2-metadata-token", "x-identity-header", "x-amz-security-token")
_FIELDS = ("WebIdentityToken", "client_secret", "client_assertion", "subject_token", "assertion", "apikey", "cr_token")


def _secrets(call: Call) -> Iterator[str]:
    for name in _HEADERS:
        yield call.headers.get(name, "").rpartition(" ")[2]
    if "form" in call.headers.get("content-type", ""):
        yield from (call.form.get(name, "") for name in _FIELDS)
    elif "json" in call.headers.get("content-type", "") and call.body:
        yield str(call.json.get("jwt", ""))


def _end(service: Service) -> None:
    service.stop()


def _begin(service: Service) -> None:
    def begun() -> bool:
        try:
            service.start()
        except OSError:  # somebody's connection has the port for a moment
            return False
        return True

    eventually(begun)


def _life_of(service: Any, name: str = "life") -> Callable[[int], None]:
    return lambda seconds: setattr(service, name, seconds)


# ---- AWS -----------------------------------------------------------------------------------------------------------


def _irsa(street: Street) -> Row:
    sts = street.started(Sts({_ROLE: StsRole(subjects=[_SUBJECT])}))
    token = street.folder("irsa") / "token"
    token.write_text(sts.token(_SUBJECT))
    environ = {"AWS_ROLE_ARN": _ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": str(token), "AWS_REGION": "us-east-1"}
    return Row(
        name="aws_irsa",
        provider="bedrock",
        options=AwsWorkloadIdentityOptions(),
        machine=SimulatedMachine(_POD | environ | {"AWS_ENDPOINT_URL_STS": sts.url}),
        outbound=Outbound(),
        services=[sts],
        live=_life_of(sts),
    )


def _container(street: Street) -> Row:
    agent = street.started(ContainerCredentials())
    environ = {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": agent.url + agent.path,
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": str(agent.token),
    }
    return Row(
        name="aws_container",
        provider="bedrock",
        options=AwsWorkloadIdentityOptions(),
        machine=SimulatedMachine(environ),
        outbound=Outbound(),
        services=[agent],
        live=_life_of(agent),
    )


def _instance_profile(street: Street) -> Row:
    imds = street.started(Imds())
    return Row(
        name="aws_imds",
        provider="bedrock",
        options=AwsWorkloadIdentityOptions(),
        machine=SimulatedMachine({"AWS_EC2_METADATA_SERVICE_ENDPOINT": imds.url}),
        outbound=Outbound(),
        services=[imds],
        live=_life_of(imds),
    )


def _role_on_top(street: Street) -> Row:
    """The identity on which the role stands is there throughout; the role is not to be had."""
    first = street.started(Sts({_ROLE: StsRole(subjects=[_SUBJECT])}, life=LONG))
    second = street.started(_SecondSts(first))
    imds = street.started(_KeysOf(second))
    environ = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": imds.url, "AWS_ENDPOINT_URL_STS": second.url}
    return Row(
        name="aws_role_on_top",
        provider="bedrock",
        options=AwsWorkloadIdentityOptions(role_arn=_GUEST, external_id="tenant-7"),
        machine=SimulatedMachine(environ | {"AWS_REGION": "us-east-1"}),
        outbound=Outbound(),
        services=[second],
        others=[imds],
        live=_life_of(second),
    )
