"""Settings become a plan: the routers and what they ask, with whatever of the plan before is still the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from llmauth import providers, token_hosts
from llmauth.addresses import HostPort
from llmauth.ca import Authority
from llmauth.chat.transforming import Transformation
from llmauth.clock import Clock
from llmauth.config.routing import ModelEntry
from llmauth.config.routing import Transformation as TransformationOptions
from llmauth.config.settings import Settings, ca_domains
from llmauth.config.watching import mark, mark_of_roots
from llmauth.credentials.base import Surroundings
from llmauth.credentials.chain import Asked
from llmauth.egress import Egress
from llmauth.gateway.callers import Standing, callers_of
from llmauth.gateway.plan import Plan, Way
from llmauth.gateway.sourcing import outbound_of, proxy_of, strategies_of, surroundings_of
from llmauth.governance.governor import Governor
from llmauth.governance.prices import Prices
from llmauth.outbound import Outbound
from llmauth.platform import Machine
from llmauth.providers.base import ProviderHandler
from llmauth.routers.catalogue import Catalogue, Rule
from llmauth.routers.credential import CredentialRouter
from llmauth.routers.mode import ModeRouter, Reroute
from llmauth.routers.model import ModelRouter
from llmauth.routers.provider import ProviderRouter
from llmauth.storage.learned import LearnedHosts
from llmauth.token_hosts.base import TokenHost

LEARNED = "learned-hosts.txt"
"""In the state folder: the hosts that were asked for while the egress policy learned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What all plans of a gateway share; `observe` is told what came of each time that a source was asked."""

    standing: Standing
    governor: Governor
    machine: Machine
    clock: Clock
    observe: Callable[[str, Asked], None]


def make(settings: Settings, basis: Basis, before: Plan | None = None) -> Plan:
    """The plan of these settings. Nothing is started, fetched or sent; blocks for files.

    CaError, ConfigError, ValueError or OSError for what must not be served.
    """
    clock = basis.clock
    handlers = {name: providers.build(name, one, clock) for name, one in settings.instances.items()}
    catalogue = Catalogue(handlers, [_rule(name, entry) for name, entry in settings.models.items()])
    served = _token_hosts(handlers)
    rules, prices = settings.egress, Prices(settings.prices)
    egress = Egress(default=rules.default, allow=frozenset(rules.allow), ports=frozenset(rules.ports))
    way, outbound = _way(settings, before)
    surroundings = _surroundings(settings, basis, outbound, before)
    callers = callers_of(settings, basis.standing, outbound, None if before is None else before.callers)
    own = frozenset(settings.server.gateway_hosts)
    return Plan(
        settings=settings,
        limits=settings.limits,
        head_limits=settings.limits.head,
        handlers=handlers,
        catalogue=catalogue,
        mode=ModeRouter(handlers, own, egress, served, catalogue, _rerouted(settings)),
        model=ModelRouter(catalogue, read_bodies=bool(prices)),
        provider=ProviderRouter(handlers),
        egress=egress,
        learned=_learned(settings, before),
        token_hosts=served,
        transformations={name: _transformation(one) for name, one in settings.transformations.items()},
        governor=basis.governor.under(settings.policies.policies(), prices),
        authority=_authority(settings, handlers, clock, before),
        way=way,
        outbound=outbound,
        surroundings=surroundings,
        vault_roots=mark_of_roots(settings.vaults),
        callers=callers,
        auth=callers.auth,
        credential=_credential(settings, handlers, surroundings, basis, before),
        gateway_hosts=own,
    )


def authority(settings: Settings, handlers: Mapping[str, ProviderHandler], clock: Clock | None = None) -> Authority:
    """The CA of a configuration, made where there is none and one may be made; CaError otherwise."""
    made = Authority.load_or_create(settings.ca.folder, ca_domains(settings), settings.ca.create, clock)
    made.require(hosts_to_sign(settings, handlers))
    return made


def _authority(
    settings: Settings, handlers: Mapping[str, ProviderHandler], clock: Clock, before: Plan | None
) -> Authority:
    """While it serves, none is made: clients would trust another one. One that is the same keeps its leaves."""
    if before is None:
        return authority(settings, handlers, clock)
    now = Authority.load_or_create(settings.ca.folder, ca_domains(settings), False, clock)
    same = before.authority.fingerprint() == now.fingerprint()
    found = before.authority if same else now
    found.require(hosts_to_sign(settings, handlers))
    return found


def hosts_to_sign(settings: Settings, handlers: Mapping[str, ProviderHandler]) -> set[str]:
    """Every host whose tunnels a gateway of this configuration ends."""
    hosts = {origin.host for handler in handlers.values() for origin in handler.hosts}
    hosts |= {origin.host for origin in _token_hosts(handlers)} | set(settings.hosts)
    return hosts | set(settings.server.gateway_hosts)


def _way(settings: Settings, before: Plan | None) -> tuple[Way, Outbound]:
    """The same objects as before where providers are reached as before: what was made of them then goes on."""
    upstream, roots = settings.upstream, _mark(settings)
    if before is not None and before.way.roots == roots and _dialled(before.settings) == _dialled(settings):
        return before.way, before.outbound
    way = Way(
        resolve=upstream.resolve,
        allow_private=frozenset(upstream.allow_private),
        proxy=proxy_of(settings),
        roots=roots,
    )
    return way, outbound_of(settings)


def _dialled(settings: Settings) -> tuple[object, ...]:
    upstream = settings.upstream
    return upstream.ca_file, upstream.resolve, frozenset(upstream.allow_private), upstream.proxy


def _mark(settings: Settings) -> str:
    file = settings.upstream.ca_file
    return "" if file is None else mark([file])


def _surroundings(settings: Settings, basis: Basis, outbound: Outbound, before: Plan | None) -> Surroundings:
    if before is not None and before.outbound is outbound:
        was = before.settings
        same = (was.platform, was.vaults) == (settings.platform, settings.vaults)
        if same and before.vault_roots == mark_of_roots(settings.vaults):
            return before.surroundings
    return surroundings_of(settings, basis.machine, outbound, basis.clock)


def _credential(
    settings: Settings,
    handlers: Mapping[str, ProviderHandler],
    surroundings: Surroundings,
    basis: Basis,
    before: Plan | None,
) -> CredentialRouter:
    """An instance whose credentials come from where they came from keeps the one that it has."""
    kept: list[str] = []
    if before is not None and before.surroundings is surroundings:
        kept = [name for name in handlers if _source(name, settings, handlers) == _source_before(name, before)]
    return CredentialRouter(
        strategies_of(settings, handlers, surroundings),
        basis.clock,
        observe=basis.observe,
        before=None if before is None else before.credential,
        kept=kept,
    )


def _source(name: str, settings: Settings, handlers: Mapping[str, ProviderHandler]) -> tuple[object, ...]:
    handler = handlers[name]
    return settings.instances[name].strategies, handler.provider, handler.region


def _source_before(name: str, before: Plan) -> tuple[object, ...] | None:
    return _source(name, before.settings, before.handlers) if name in before.handlers else None


def _learned(settings: Settings, before: Plan | None) -> LearnedHosts | None:
    if settings.egress.default != "learn":
        return None
    return (before.learned if before is not None else None) or LearnedHosts(settings.home / LEARNED)


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
