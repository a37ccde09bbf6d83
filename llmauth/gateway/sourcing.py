"""Which strategies each instance has, and where they stand: settings and a machine in, strategies out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from llmauth import credentials, vaults
from llmauth.clock import Clock
from llmauth.config.settings import Settings
from llmauth.credentials.base import CredentialStrategy, Surroundings
from llmauth.credentials.identities import identities
from llmauth.outbound import Outbound
from llmauth.platform import Machine
from llmauth.platform.detector import detect
from llmauth.platform.probes import Probes
from llmauth.providers.base import ProviderHandler
from llmauth.routers.vault import VaultRouter
from llmauth.upstream_proxy import NoProxy, UpstreamProxy
from llmauth.vaults.base import VaultSurroundings


def proxy_of(settings: Settings) -> UpstreamProxy | None:
    """The company's proxy, where one is configured."""
    outside = settings.upstream.proxy
    return UpstreamProxy(outside.url, NoProxy(outside.no_proxy)) if outside is not None else None


def outbound_of(settings: Settings) -> Outbound:
    """How public services are reached: as providers are."""
    upstream = settings.upstream
    return Outbound(
        ca_file=upstream.ca_file,
        resolve=upstream.resolve,
        allow_private=frozenset(upstream.allow_private),
        proxy=proxy_of(settings),
    )


def surroundings_of(settings: Settings, machine: Machine, outbound: Outbound, clock: Clock) -> Surroundings:
    """Where all strategies stand, before they are told their instance; nothing is asked of the network yet."""
    platform = detect(machine, settings.platform.type, settings.platform.switched())
    probes = Probes(in_kubernetes=platform.in_kubernetes, clock=clock.monotonic)
    surroundings = Surroundings(machine=machine, platform=platform, probes=probes, outbound=outbound, clock=clock)
    here = VaultSurroundings(machine=machine, identities=identities(surroundings), outbound=outbound, clock=clock)
    return replace(surroundings, vaults=VaultRouter(vaults.build(settings.vaults, here)))


def strategies_of(
    settings: Settings, handlers: Mapping[str, ProviderHandler], surroundings: Surroundings
) -> dict[str, Sequence[CredentialStrategy]]:
    """Each instance's strategies in their order: those of its configuration, else those of its type."""
    return {name: _of(name, handler, settings, surroundings) for name, handler in handlers.items()}


def _of(
    name: str, handler: ProviderHandler, settings: Settings, surroundings: Surroundings
) -> Sequence[CredentialStrategy]:
    here = replace(surroundings, instance=name, provider=handler.provider, region=handler.region)
    options = settings.instances[name].strategies or credentials.defaults_for(handler.provider)
    return [credentials.build(one, here) for one in options]
