"""What may stand in the configuration files: the sections, and one model an instance, chosen by its `type`."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, create_model

from llmauth import providers
from llmauth.config.limits import Limits
from llmauth.config.policies import PoliciesSection
from llmauth.config.routing import HostEntry, ModelEntry, ModelName, Transformation
from llmauth.config.sections import (
    Audit,
    Auth,
    Ca,
    Egress,
    HostName,
    Log,
    MetricsListener,
    NotEmpty,
    PlatformSection,
    Section,
    Server,
    Storage,
    Upstream,
)
from llmauth.config.telemetry import Telemetry
from llmauth.credentials import StrategyOptions
from llmauth.credentials.base import Options
from llmauth.providers.base import ProviderOptions
from llmauth.vaults import VaultsOptions


class Authentication(Section):
    """Where an instance's credential comes from: tried in this order."""

    strategies: Annotated[tuple[StrategyOptions, ...], NotEmpty]


class Instance(ProviderOptions):
    """One configured endpoint of a provider: that provider's own options, and its authentication."""

    authentication: Authentication | None = None

    @property
    def strategies(self) -> tuple[Options, ...]:
        """The strategies that the configuration names, empty when it leaves them to the provider's default."""
        return () if self.authentication is None else self.authentication.strategies


if TYPE_CHECKING:
    AnyInstance = Instance
else:
    # Each provider's own options with `authentication` beside them; the entry's `type` chooses among these.
    _MODELS = [
        create_model(handler.options_model.__name__, __base__=(handler.options_model, Instance))
        for handler in providers.HANDLERS.values()
    ]
    AnyInstance = Annotated[reduce(operator.or_, _MODELS), Field(discriminator="type")]


class Document(Section):
    """All files together."""

    server: Server = Server()
    upstream: Upstream = Upstream()
    limits: Limits = Limits()
    auth: Auth = Auth()
    egress: Egress = Egress()
    instances: Mapping[str, AnyInstance] = {}
    storage: Storage = Storage()
    metrics: MetricsListener | None = None
    ca: Ca = Ca()
    log: Log = Log()
    models: Mapping[ModelName, ModelEntry] = {}
    hosts: Mapping[HostName, HostEntry] = {}
    transformations: Mapping[str, Transformation] = {}
    vaults: VaultsOptions = VaultsOptions()
    platform: PlatformSection = PlatformSection()
    policies: PoliciesSection = PoliciesSection()
    prices: Path | None = None
    audit: Audit = Audit()
    telemetry: Telemetry = Telemetry()
