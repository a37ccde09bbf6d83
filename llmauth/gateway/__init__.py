"""The composition root: settings in, six routers and what they share out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from wsgiref.simple_server import WSGIServer

from cryptography.x509 import Certificate

from llmauth import providers, token_hosts
from llmauth.addresses import HostPort, normalise_host
from llmauth.audit.writer import AuditLog
from llmauth.ca import Authority
from llmauth.chat.thoughts import Thoughts
from llmauth.chat.transforming import Transformation
from llmauth.clock import Clock, SystemClock
from llmauth.config.governors import open_governor
from llmauth.config.routing import ModelEntry
from llmauth.config.routing import Transformation as TransformationOptions
from llmauth.config.settings import Settings, ca_domains
from llmauth.credentials.chain import Asked
from llmauth.credentials.status import InstanceStatus
from llmauth.egress import Egress
from llmauth.gateway import standing
from llmauth.gateway.callers import callers_of
from llmauth.gateway.exporting import exporter_of
from llmauth.gateway.hindsight import Hindsight
from llmauth.gateway.recording import Recording
from llmauth.gateway.seat import Seat
from llmauth.gateway.sourcing import outbound_of, proxy_of, strategies_of, surroundings_of
from llmauth.governance.governor import Governor
from llmauth.hindsight.memory import Memory
from llmauth.platform import ThisMachine
from llmauth.platform.desktop import desktop_features
from llmauth.providers.base import ProviderHandler
from llmauth.routers.catalogue import Catalogue, Rule
from llmauth.routers.credential import CredentialRouter
from llmauth.routers.mode import ModeRouter, Reroute
from llmauth.routers.model import ModelRouter
from llmauth.routers.provider import ProviderRouter
from llmauth.storage.home import prepare
from llmauth.storage.learned import LearnedHosts
from llmauth.telemetry.metrics import Metrics
from llmauth.telemetry.sums import Snapshot
from llmauth.token_hosts.base import TokenHost

LEARNED = "learned-hosts.txt"
"""In the state folder: the hosts that were asked for while the egress policy learned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether requests can be served now: callers can be judged, what is decided can be recorded, and at least one
    instance has a credential.

    `keys` is `ok`, `last_known` where they are judged by what a store told before its outage, or `unreadable`; `audit`
    is `ok`, `off` or `unwritable`.
    """

    ready: bool
    keys: str
    audit: str
    instances: Mapping[str, InstanceStatus]


class Gateway:
    """Everything that answers a question about a request. Must be made inside the event loop that it serves.

    Raises StateError, CaError, ConfigError or ValueError for what must not start: an unreadable key store, a missing
    CA, a method of authentication that cannot be used as it is written, a host that the CA may not sign.
    """

    def __init__(
        self, settings: Settings, environ: Mapping[str, str], clock: Clock | None = None, *, seat: Seat | None = None
    ) -> None:
        clock = clock or SystemClock()
        prepare(settings.home)
        self.settings = settings
        self.seat = seat
        self.metrics_of_all: Callable[[], Awaitable[bytes]] | None = None
        # Asks every process of this gateway the same, and blocks; None where there is one.
        self.ask_all: Callable[[Mapping[str, Any]], list[dict[str, Any]]] | None = None
        self.handlers = {name: providers.build(name, one, clock) for name, one in settings.instances.items()}
        self.catalogue = Catalogue(self.handlers, [_rule(name, entry) for name, entry in settings.models.items()])
        self.governor = _governor(settings, seat, clock)
        self.metrics = Metrics(models=self.catalogue.known())
        self.token_hosts = _token_hosts(self.handlers)
        self.authority = authority(settings, self.handlers, clock)
        self._gateway_hosts = frozenset(settings.server.gateway_hosts)
        rules = settings.egress
        self.egress = Egress(default=rules.default, allow=frozenset(rules.allow), ports=frozenset(rules.ports))
        self.learned = LearnedHosts(settings.home / LEARNED) if rules.default == "learn" else None
        self.proxy = proxy_of(settings)
        self.mode = ModeRouter(
            self.handlers, self._gateway_hosts, self.egress, self.token_hosts, self.catalogue, _rerouted(settings)
        )
        self.model = ModelRouter(self.catalogue, read_bodies=bool(self.governor.prices))
        self.transformations = {name: _transformation(one) for name, one in settings.transformations.items()}
        self.thoughts = Thoughts(clock)
        self.provider = ProviderRouter(self.handlers)
        self.outbound = outbound_of(settings)
        callers = callers_of(settings, environ, clock, self.outbound, self.metrics.auth_failed)
        self._keys, self.tokens, self.sessions = callers.keys, callers.tokens, callers.sessions
        self._certificates, self.auth = callers.certificates, callers.auth
        self._clock = clock
        self.memory = Memory()
        self.hindsight = Hindsight(self.memory, lambda: self.governor)
        self.recording = Recording(AuditLog(settings.home, clock) if settings.audit.enabled else None)
        surroundings = surroundings_of(settings, ThisMachine(environ), self.outbound, clock)
        self.platform = surroundings.platform
        self.desktop = desktop_features(surroundings.platform, environ)
        self.credential = CredentialRouter(
            strategies_of(settings, self.handlers, surroundings), clock, observe=self._asked
        )
        self.exporter = exporter_of(settings.telemetry.otlp, self.outbound, self.metrics)
        self._metrics_server: WSGIServer | None = None

    def _asked(self, instance: str, asked: Asked) -> None:
        self.metrics.credential_asked(instance, asked.result)
        self.recording.credential(instance, asked)
        if self.handlers[instance].provider == "bedrock" and asked.result != "unavailable":
            self.metrics.aws_credential_retrieved(instance, ok=asked.result == "success")

    def start(self) -> None:
        """Read the keys and begin the audit record, which must succeed; and to fetch credentials, which need not."""
        self.recording.start()
        self.auth.start()
        self.credential.prime()
        if self.exporter is not None:
            self.exporter.start()
        listener = self.settings.metrics
        if listener is not None and self.seat is None:
            self._metrics_server = self.metrics.serve(listener.port, listener.host, refresh=self.readiness)

    def close(self) -> None:
        """Write what is still to be written, and stop every thread."""
        if self._metrics_server is not None:
            self._metrics_server.shutdown()
            self._metrics_server.server_close()
        if self.exporter is not None:
            self.exporter.stop()
        self.credential.close()
        self.auth.stop()
        self._keys.close()
        self.recording.stop()

    def client_authorities(self) -> Sequence[Certificate] | None:
        """Whose client certificates are asked for on the TLS port, `None` where none are."""
        return self._certificates.authorities if self._certificates is not None else None

    def is_gateway_host(self, host: str) -> bool:
        """Whether a host, as a client wrote it, is one of our own names."""
        try:
            return normalise_host(host) in self._gateway_hosts
        except ValueError:
            return False

    def readiness(self) -> Readiness:
        """What /ready shows; asks no source, so that it can be asked often."""
        instances = self.credential.status()
        usable, recorded = self.auth.usable(), self.recording.usable()
        with_credential = any(one.state == "ready" for one in instances.values())
        ready = usable and recorded and with_credential
        keys = ("last_known" if self._keys.is_behind() else "ok") if usable else "unreadable"
        standing.show(
            self.metrics,
            ready=ready,
            keys=keys,
            instances=instances,
            recording=self.recording,
            limiter=self.governor.limiter,
            authority_ends=self.authority.expires_at,
        )
        return Readiness(ready=ready, keys=keys, audit=self.recording.state(), instances=instances)

    def snapshot_metrics(self) -> Snapshot:
        """The same as plain values, for whoever adds up those of several processes."""
        self.readiness()
        return self.metrics.snapshot()

    def render_metrics(self) -> tuple[bytes, str]:
        """The metrics as text, with the gauges brought up to date."""
        self.readiness()
        return self.metrics.render()


def _governor(settings: Settings, seat: Seat | None, clock: Clock) -> Governor:
    """Among several workers of one machine their parent counts, where nobody further away does."""
    if seat is None:
        return open_governor(settings, clock=clock)
    return open_governor(settings, workers=seat.workers, broker=seat.limits, clock=clock)


def _rule(name: str, entry: ModelEntry) -> Rule:
    return Rule(name=name, instance=entry.instance, model=entry.model)


def _rerouted(settings: Settings) -> dict[HostPort, Reroute]:
    return {
        HostPort(host, 443): Reroute(protocol=entry.protocol, instance=entry.instance)
        for host, entry in settings.hosts.items()
    }


def _transformation(one: TransformationOptions) -> Transformation:
    return Transformation(defaults=one.defaults, drop=frozenset(one.drop))


def _token_hosts(handlers: Mapping[str, ProviderHandler]) -> dict[HostPort, TokenHost]:
    return token_hosts.served((one.provider, one.region, one.base.host) for one in handlers.values())


def authority(settings: Settings, handlers: Mapping[str, ProviderHandler], clock: Clock | None = None) -> Authority:
    """The CA of a configuration, made where there is none and one may be made; CaError otherwise."""
    made = Authority.load_or_create(settings.ca.folder, ca_domains(settings), settings.ca.create, clock)
    made.require(hosts_to_sign(settings, handlers))
    return made


def hosts_to_sign(settings: Settings, handlers: Mapping[str, ProviderHandler]) -> set[str]:
    """Every host whose tunnels a gateway of this configuration ends."""
    hosts = {origin.host for handler in handlers.values() for origin in handler.hosts}
    hosts |= {origin.host for origin in _token_hosts(handlers)} | set(settings.hosts)
    return hosts | set(settings.server.gateway_hosts)
