"""A street of services that credentials are asked of: how one strategy stands there, and how all of them fail."""

from __future__ import annotations

import http.client
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from llmauth import credentials, vaults
from llmauth.clock import Clock, SystemClock
from llmauth.context import ProviderType, Target
from llmauth.credentials.base import CredentialStrategy, Options, Surroundings
from llmauth.credentials.identities import identities
from llmauth.outbound import Outbound
from llmauth.platform import Machine, Platform
from llmauth.platform.detector import detect
from llmauth.routers.vault import VaultRouter
from llmauth.secrets import Loaded
from llmauth.vaults import VaultsOptions
from llmauth.vaults.base import VaultSurroundings
from tests.emulators.service import Call, Fault, Reply, Service, eventually

Outage = Fault | Literal["down"]

SHORT, LONG = 240, 36_000
"""What credentials live, in seconds: those that meet an outage, and those that are given after it."""


class Ahead(SystemClock):
    """The machine's clocks, which a test moves on."""

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
    """One strategy, named as its instance is, on a machine of its own.

    `services` are those that fail in an outage, `others` those that do not. `live` sets how long its credentials live
    from now on, and is `None` where they have no end. `environ` is what a vendor's library reads of its process.
    """

    name: str
    provider: ProviderType
    options: Options
    machine: Machine
    services: Sequence[Service]
    others: Sequence[Service] = ()
    outbound: Outbound = field(default_factory=Outbound)
    platform: Platform | None = None
    vaults: VaultsOptions = field(default_factory=VaultsOptions)
    live: Callable[[int], None] | None = None
    environ: Mapping[str, str] | None = None

    @property
    def target(self) -> Target:
        """A request to its instance."""
        return Target(instance=self.name, provider=self.provider)

    def strategy(self, clock: Clock) -> CredentialStrategy:
        """As a gateway builds it, with nothing kept of earlier ones."""
        here = Surroundings(
            instance=self.name,
            provider=self.provider,
            machine=self.machine,
            platform=self.platform or replace(detect(self.machine), settled=True),
            outbound=self.outbound,
            clock=clock,
        )
        there = VaultSurroundings(
            machine=self.machine, identities=identities(here), outbound=self.outbound, clock=clock
        )
        built = credentials.build(self.options, replace(here, vaults=VaultRouter(vaults.build(self.vaults, there))))
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
    """Stands before a server of another kind, so that it can fail as all the others do."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._place = urlsplit(url).netloc

    def answer(self, call: Call) -> Reply:
        connection = http.client.HTTPConnection(self._place, timeout=10)
        connection.request(call.method, call.target, call.body, dict(call.headers))
        answered = connection.getresponse()
        content, kind = answered.read(), answered.getheader("Content-Type", "application/x-amz-json-1.1")
        connection.close()
        return Reply(answered.status, content, {"Content-Type": kind})

    def refusal(self, call: Call) -> Reply:
        return Reply(400, {"__type": "AccessDeniedException", "Message": "canary-7f3a"})


class Street:
    """The rows that `builders` make, and their services, which run as long as it stands; `moto` is a URL."""

    def __init__(self, folder: Path, moto: str, builders: Sequence[Callable[[Street], Row]]) -> None:
        self.moto = moto
        self._folder = folder
        self._running = ExitStack()
        self._builders = builders
        self.rows: list[Row] = []

    def __enter__(self) -> Self:
        self.rows = [build(self) for build in self._builders]
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def started[S: Service](self, service: S) -> S:
        """The same, running from now on."""
        self._running.enter_context(service)
        return service

    def folder(self, name: str) -> Path:
        """A folder of a row's own."""
        folder = self._folder / name
        folder.mkdir()
        return folder

    def live(self, seconds: int) -> None:
        """Give credentials of this life from now on."""
        for row in self.rows:
            if row.live is not None:
                row.live(seconds)

    @contextmanager
    def outage(self, how: Outage) -> Iterator[None]:
        """Everything that can fail does, in this way."""
        services = [service for row in self.rows for service in row.services]
        for service in services:
            _fail(service, how)
        try:
            yield
        finally:
            for service in services:
                _recover(service, how)

    def shown(self) -> set[str]:
        """Every secret that the services were shown."""
        calls = [call for row in self.rows for service in (*row.services, *row.others) for call in service.calls]
        return {secret for call in calls for secret in _secrets(call) if len(secret) >= 20}


def _fail(service: Service, how: Outage) -> None:
    if how == "down":
        service.stop()
    else:
        service.fault = how


def _recover(service: Service, how: Outage) -> None:
    service.fault = None
    if how == "down":
        eventually(lambda: _begun(service))


def _begun(service: Service) -> bool:
    try:
        service.start()
    except OSError:  # somebody's connection has the port for a moment
        return False
    return True


_HEADERS = ("authorization", "x-vault-token", "x-aws-ec2-metadata-token", "x-identity-header", "x-amz-security-token")
_FIELDS = ("WebIdentityToken", "client_secret", "client_assertion", "subject_token", "assertion", "apikey", "cr_token")


def _secrets(call: Call) -> Iterator[str]:
    yield from (call.headers.get(name, "").rpartition(" ")[2] for name in _HEADERS)
    kind = call.headers.get("content-type", "")
    if "form" in kind:
        yield from (call.form.get(name, "") for name in _FIELDS)
    elif kind == "application/json" and call.body:
        yield str(call.json.get("jwt", ""))
