"""The composition root: settings in, six routers and what they share out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from wsgiref.simple_server import WSGIServer

from llmauth import authenticators, providers, token_hosts
from llmauth.addresses import HostPort, normalise_host
from llmauth.authenticators.base import AuthSurroundings
from llmauth.authenticators.placeholder import Placeholder
from llmauth.authenticators.tokens import Tokens
from llmauth.ca import Authority
from llmauth.chat.thoughts import Thoughts
from llmauth.chat.transforming import Transformation
from llmauth.clock import Clock, SystemClock
from llmauth.config.routing import ModelEntry
from llmauth.config.routing import Transformation as TransformationOptions
from llmauth.config.settings import Settings, ca_domains
from llmauth.credentials.chain import Result
from llmauth.credentials.status import InstanceStatus
from llmauth.egress import Egress
from llmauth.gateway.sourcing import outbound_of, proxy_of, strategies_of, surroundings_of
from llmauth.platform import ThisMachine
from llmauth.providers.base import ProviderHandler
from llmauth.routers.auth import AuthRouter
from llmauth.routers.catalogue import Catalogue, Rule
from llmauth.routers.credential import CredentialRouter
from llmauth.routers.mode import ModeRouter, Reroute
from llmauth.routers.model import ModelRouter
from llmauth.routers.provider import ProviderRouter
from llmauth.storage import token_key
from llmauth.storage.home import prepare
from llmauth.storage.keys import KeyStore
from llmauth.storage.learned import LearnedHosts
from llmauth.telemetry.metrics import Metrics
from llmauth.token_hosts.base import TokenHost

LEARNED = "learned-hosts.txt"
"""In the state folder: the hosts that were asked for while the egress policy learned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether requests can be served now: callers can be judged, and at least one instance has a credential."""

    ready: bool
    keys: str
    instances: Mapping[str, InstanceStatus]


class Gateway:
    """Everything that answers a question about a request. Must be made inside the event loop that it serves.

    Raises StateError, CaError or ValueError for what must not start: an unreadable key store, a missing CA, a host that
    the CA may not sign.
    """

    def __init__(self, settings: Settings, environ: Mapping[str, str], clock: Clock | None = None) -> None:
        clock = clock or SystemClock()
        prepare(settings.home)
        self.settings = settings
        self.handlers = {name: providers.build(name, one, clock) for name, one in settings.instances.items()}
        self.catalogue = Catalogue(self.handlers, [_rule(name, entry) for name, entry in settings.models.items()])
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
        self.model = ModelRouter(self.catalogue)
        self.transformations = {name: _transformation(one) for name, one in settings.transformations.items()}
        self.thoughts = Thoughts(clock)
        self.provider = ProviderRouter(self.handlers)
        self._keys = KeyStore(settings.storage.url, clock)
        self.tokens = Tokens(token_key.load_or_create(settings.home), clock)
        self.outbound = outbound_of(settings)
        asked = AuthSurroundings(
            store=self._keys, clock=clock, outbound=self.outbound, environ=environ, home=settings.home
        )
        methods = [authenticators.build(one, asked) for one in settings.auth.methods]
        self.auth = AuthRouter(
            [Placeholder(self.tokens, methods), *methods],
            enabled=settings.auth.enabled,
            clock=clock,
            on_failure=self.metrics.auth_failed,
        )
        self._clock = clock
        surroundings = surroundings_of(settings, ThisMachine(environ), self.outbound, clock)
        self.platform = surroundings.platform
        self.credential = CredentialRouter(
            strategies_of(settings, self.handlers, surroundings), clock, observe=self._asked
        )
        self._metrics_server: WSGIServer | None = None

    def _asked(self, instance: str, result: Result) -> None:
        self.metrics.credential_asked(instance, result)
        if self.handlers[instance].provider == "bedrock" and result != "unavailable":
            self.metrics.aws_credential_retrieved(instance, ok=result == "success")

    def start(self) -> None:
        """Read the keys, which must succeed, and begin to fetch credentials, which need not."""
        self.auth.start()
        self.credential.prime()
        listener = self.settings.metrics
        if listener is not None:
            self._metrics_server = self.metrics.serve(listener.port, listener.host, refresh=self.readiness)

    def close(self) -> None:
        """Write what is still to be written, and stop every thread."""
        if self._metrics_server is not None:
            self._metrics_server.shutdown()
            self._metrics_server.server_close()
        self.credential.close()
        self.auth.stop()
        self._keys.close()

    def is_gateway_host(self, host: str) -> bool:
        """Whether a host, as a client wrote it, is one of our own names."""
        try:
            return normalise_host(host) in self._gateway_hosts
        except ValueError:
            return False

    def readiness(self) -> Readiness:
        """What /ready shows; asks no source, so that it can be asked often."""
        instances = self.credential.status()
        usable = self.auth.usable()
        with_credential = any(one.state == "ready" for one in instances.values())
        for name, one in instances.items():
            self.metrics.credential(name, one.strategy, one.expires_at)
        self.metrics.health("live", True)
        self.metrics.health("ready", usable and with_credential)
        return Readiness(ready=usable and with_credential, keys="ok" if usable else "unreadable", instances=instances)

    def render_metrics(self) -> tuple[bytes, str]:
        """The metrics as text, with the gauges brought up to date."""
        self.readiness()
        return self.metrics.render()


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
    hosts = {origin.host for handler in handlers.values() for origin in handler.hosts}
    hosts |= {origin.host for origin in _token_hosts(handlers)} | set(settings.hosts)
    made.require(hosts | set(settings.server.gateway_hosts))
    return made
