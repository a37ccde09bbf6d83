"""Settings: everything that is configured, from files, environment and command line, checked as a whole and frozen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from llmauth import providers
from llmauth.addresses import is_loopback
from llmauth.config import environment, links
from llmauth.config.checks import check
from llmauth.config.document import Document, Instance
from llmauth.config.limits import Limits
from llmauth.config.loader import read, validate
from llmauth.config.methods import with_options, with_variables
from llmauth.config.policies import PoliciesSection, read_prices
from llmauth.config.problems import ConfigError, Place, Problem
from llmauth.config.routing import HostEntry, ModelEntry, Transformation
from llmauth.config.sections import (
    Audit,
    Auth,
    Egress,
    Log,
    MetricsListener,
    PlatformSection,
    Server,
    Storage,
    Upstream,
)
from llmauth.config.telemetry import Telemetry
from llmauth.config.tree import Node, join, overlay
from llmauth.credentials import defaults_for
from llmauth.governance.places import parse_place
from llmauth.governance.prices import Price
from llmauth.providers.base import parse_base_url
from llmauth.routers.catalogue import Rule, unreachable
from llmauth.storage.databases import may_be_read_on_the_way
from llmauth.storage.home import state_folder
from llmauth.storage.redis_urls import is_redis, may_be_read
from llmauth.vaults import VaultsOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class CaSettings:
    """The certificate authority: where it is kept, whether one may be made there, and what it shall cover besides."""

    folder: Path
    create: bool
    domains: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The whole configuration. `unavailable` names parts without effect yet; `warnings` are sentences for the log."""

    server: Server
    upstream: Upstream
    limits: Limits
    auth: Auth
    egress: Egress
    instances: Mapping[str, Instance]
    models: Mapping[str, ModelEntry]
    hosts: Mapping[str, HostEntry]
    transformations: Mapping[str, Transformation]
    vaults: VaultsOptions
    platform: PlatformSection
    storage: Storage
    audit: Audit
    policies: PoliciesSection
    prices: Mapping[str, Price]
    metrics: MetricsListener | None
    telemetry: Telemetry
    ca: CaSettings
    log: Log
    home: Path
    files: tuple[Path, ...]
    prices_file: Path | None
    unavailable: tuple[str, ...]
    warnings: tuple[str, ...]


def read_settings(
    config_paths: Sequence[Path], environ: Mapping[str, str], overrides: Mapping[str, object] | None = None
) -> Settings:
    """Files, environment and `overrides` (dotted path to value) as Settings. Raises ConfigError with every fault."""
    problems: list[Problem] = []
    files = environment.files(config_paths, environ)
    written = tree = read(files, environ, problems)
    for path, node in (*environment.from_environment(environ), *environment.from_options(overrides or {})):
        tree = overlay(tree, tuple(path.split(".")), node)
    tree = with_options(tree, written)
    tree = with_variables(_with_relative_database(_with_provider_variables(tree, environ)), environ)
    problems += _instance_problems(tree)
    document = validate(tree, Document, problems)
    problems += check(document, tree)
    if environment.wants_tls(environ) and document.server.tls_cert_file is None:
        place = Place(source="environment variable TLS_ENABLED")
        problems.append(Problem(place=place, path="", message="TLS is asked for; set TLS_CERT_FILE and TLS_KEY_FILE"))
    if problems:
        raise ConfigError(problems)
    return _settings(document, files, environ)


def ca_domains(settings: Settings) -> tuple[str, ...]:
    """The domains that a certificate authority is made for: those of every provider type, and what is configured."""
    names = {name for domains in providers.DOMAINS.values() for name in domains}
    own = [parse_base_url(one.base_url).host for one in settings.instances.values() if one.base_url]
    for name in (*own, *settings.server.gateway_hosts, *settings.hosts, *settings.ca.domains):
        if not any(name == domain or name.endswith("." + domain) for domain in names):
            names.add(name)
    return tuple(sorted(names))


def _settings(document: Document, files: tuple[Path, ...], environ: Mapping[str, str]) -> Settings:
    home = _home(environ)
    ca, storage = document.ca, document.storage
    create = not environ.get("KUBERNETES_SERVICE_HOST") if ca.create == "auto" else ca.create
    return Settings(
        server=document.server,
        upstream=_upstream(document),
        limits=document.limits,
        auth=document.auth,
        egress=document.egress,
        instances=document.instances,
        models=document.models,
        hosts=document.hosts,
        transformations=document.transformations,
        vaults=document.vaults,
        platform=document.platform,
        audit=document.audit,
        storage=storage if storage.url else storage.model_copy(update={"url": f"sqlite:///{home / 'keys.db'}"}),
        policies=document.policies,
        prices=read_prices(document.prices, environ),
        metrics=document.metrics,
        telemetry=document.telemetry,
        ca=CaSettings(folder=ca.folder or home / "ca", create=create, domains=ca.domains),
        log=document.log,
        home=home,
        files=files,
        prices_file=document.prices,
        unavailable=tuple(_unavailable(document, environ)),
        warnings=(*_warnings(document, files), *_about_limits(document, environ)),
    )


def _upstream(document: Document) -> Upstream:
    upstream = document.upstream
    return upstream.model_copy(update={"resolve": {**links.addresses(document), **upstream.resolve}})


def _home(environ: Mapping[str, str]) -> Path:
    try:
        return state_folder(environ)
    except RuntimeError:
        place = Place(source="environment variable LLMAUTH_HOME")
        message = "not set, and this user has no home folder; set it to a folder for keys and the certificate authority"
        raise ConfigError([Problem(place=place, path="", message=message)]) from None


def _unavailable(document: Document, environ: Mapping[str, str]) -> Iterable[str]:
    yield from (name for name in environment.LATER_VARIABLES if environ.get(name, "").lower() not in ("", "false"))


def _warnings(document: Document, files: tuple[Path, ...]) -> Iterable[str]:
    server = document.server
    if not document.instances:
        what = "add one under `instances:`" if files else "write a configuration with `llmauth init`"
        yield f"No instance is configured, so nothing can be called; {what}."
    for name, instance in document.instances.items():
        if not (instance.strategies or defaults_for(instance.type)):
            yield f"Instance '{name}' gets no credential: name under `authentication:` where it comes from."
    for rule, earlier in unreachable([Rule(name=n, instance=one.instance) for n, one in document.models.items()]):
        yield f"The rule '{rule.name}' under `models:` never matches: '{earlier.name}' stands before it."
    if not document.auth.enabled:
        yield "Authentication is off: every program on this machine may use the providers' credentials."
    if not is_loopback(server.host):
        yield f"Port {server.port} is open to other machines without TLS: keys and prompts travel in clear text."
    if may_be_read_on_the_way(document.storage.url):
        yield "The key database is reached over a network without a checked certificate: add ?sslmode=verify-full."
    if is_redis(document.storage.url) and may_be_read(document.storage.url):
        yield "The keys in Redis are reached over a network without TLS: write rediss://."
    if document.metrics is not None and not is_loopback(document.metrics.host):
        yield f"Port {document.metrics.port} shows the metrics to every machine that reaches it, without a key."


def _about_limits(document: Document, environ: Mapping[str, str]) -> Iterable[str]:
    policies = document.policies
    if not policies.limits:
        yield "Limits are off: requests, tokens and money of callers are counted for nobody."
    elif environ.get("RATE_LIMIT_ENABLED") and not any(one.counts() for _, one in policies.every()):
        yield "RATE_LIMIT_ENABLED is set, and no policy limits anything: set RATE_LIMIT_RPM, or rpm under `policies:`."
    if document.prices is None and any(one.budget is not None for _, one in policies.every()):
        yield "A policy has a budget, and without prices nothing is taken of it: name a price table as `prices:`."
    if parse_place(document.storage.limits_url).may_be_read_on_the_way():
        yield "Limits are counted over a network without checked TLS: write rediss://, or add ?sslmode=verify-full."


# ---- the tree before validation ------------------------------------------------------------------------------------


def _entries(tree: Node) -> Iterable[tuple[str, Node]]:
    instances = tree.child("instances")
    if instances is not None and isinstance(instances.value, dict):
        yield from instances.value.items()


def _type_of(entry: Node) -> str | None:
    written = entry.child("type")
    return written.value if written is not None and isinstance(written.value, str) else None


def _with_provider_variables(tree: Node, environ: Mapping[str, str]) -> Node:
    """The tree with the options that a provider takes from the environment, where an instance does not say them."""
    for name, entry in _entries(tree):
        for type_, handler in providers.HANDLERS.items():
            options = handler.options_model.environment.items() if type_ == _type_of(entry) else ()
            for option, variable in options:
                node = environment.option_from(variable, environ)
                if node is not None and entry.child(option) is None:
                    tree = overlay(tree, ("instances", name, option), node)
    return tree


def _with_relative_database(tree: Node) -> Node:
    """The tree with `sqlite:///keys.db` made absolute, from the folder of the file that it stands in."""
    storage = tree.child("storage")
    node = storage.child("url") if storage is not None else None
    relative = str(node.value).removeprefix("sqlite:///") if node is not None else ""
    if node is None or str(node.value) == relative or relative.startswith("/") or relative in ("", ":memory:"):
        return tree
    url = f"sqlite:///{node.place.folder.absolute() / relative}"
    return overlay(tree, ("storage", "url"), Node(value=url, place=node.place, expansions=node.expansions))


def _instance_problems(tree: Node) -> Iterable[Problem]:
    """Names that a path could not tell apart."""
    for name, entry in _entries(tree):
        path, type_ = join("instances", name), _type_of(entry)
        try:
            providers.check_name(name, type_ or "")
        except ValueError as error:
            yield Problem(place=entry.place, path=path, message=str(error))
