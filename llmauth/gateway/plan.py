"""What a request is judged by from its arrival to its end: everything that one reading of the configuration led to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from llmauth.addresses import HostPort, normalise_host
from llmauth.ca import Authority
from llmauth.chat.transforming import Transformation
from llmauth.config.limits import Limits
from llmauth.config.settings import Settings
from llmauth.credentials.base import Surroundings
from llmauth.egress import Egress
from llmauth.gateway.callers import Callers
from llmauth.governance.governor import Governor
from llmauth.outbound import Outbound
from llmauth.providers.base import ProviderHandler
from llmauth.routers.auth import AuthRouter
from llmauth.routers.catalogue import Catalogue
from llmauth.routers.credential import CredentialRouter
from llmauth.routers.mode import ModeRouter
from llmauth.routers.model import ModelRouter
from llmauth.routers.provider import ProviderRouter
from llmauth.screening import HeadLimits
from llmauth.storage.learned import LearnedHosts
from llmauth.token_hosts.base import TokenHost
from llmauth.upstream_proxy import UpstreamProxy


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How providers and other hosts outside are dialled: what `Dialer` (`addons/wire/dial.py`) goes by.

    The same object as long as nothing about it changed; `roots` marks the content of the file of added roots.
    """

    resolve: Mapping[str, HostPort] = field(default_factory=dict)
    allow_private: frozenset[str] = frozenset()
    proxy: UpstreamProxy | None = None
    roots: str = ""

    def may_be_private(self, host: str) -> bool:
        """Whether a name may lead to a private or loopback address."""
        return host in self.allow_private or host in self.resolve


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One configuration, ready to be asked. A request holds the plan that it arrived under, and asks no other.

    What lives longer than a configuration, such as the count of limits, is shared by all plans of a gateway.
    """

    settings: Settings
    limits: Limits
    head_limits: HeadLimits
    handlers: Mapping[str, ProviderHandler]
    catalogue: Catalogue
    mode: ModeRouter
    model: ModelRouter
    provider: ProviderRouter
    egress: Egress
    learned: LearnedHosts | None
    token_hosts: Mapping[HostPort, TokenHost]
    transformations: Mapping[str, Transformation]
    governor: Governor
    authority: Authority
    way: Way
    outbound: Outbound
    surroundings: Surroundings
    vault_roots: str  # marks the content of the files of roots that vaults are believed by
    callers: Callers
    auth: AuthRouter
    credential: CredentialRouter
    gateway_hosts: frozenset[str]

    def is_gateway_host(self, host: str) -> bool:
        """Whether a host, as a client wrote it, is one of our own names."""
        try:
            return normalise_host(host) in self.gateway_hosts
        except ValueError:
            return False
