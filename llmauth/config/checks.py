"""Faults that no value has by itself: what only the whole configuration can tell."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence

from llmauth import credentials, providers, token_hosts
from llmauth.addresses import is_ip_literal, is_loopback, is_private
from llmauth.config.document import Document
from llmauth.config.links import check_links
from llmauth.config.problems import Place, Problem
from llmauth.config.tree import Node, join


def check(document: Document, tree: Node) -> Iterable[Problem]:
    """Every such fault; `tree` knows where each value stands."""
    for one in _CHECKS:
        yield from one(document, tree)


def _place_of(tree: Node, path: str) -> Place:
    return _place(tree, path.split("."))


def _place(tree: Node, steps: Sequence[str]) -> Place:
    """Where a value stands; the steps of names that hold dots are told apart."""
    node: Node | None = tree
    place = tree.place
    for step in steps:
        node = node.child(step) if node is not None else None
        place = node.place if node is not None else place
    return place


def _check_tls_files(document: Document, tree: Node) -> Iterable[Problem]:
    server = document.server
    if (server.tls_cert_file is None) != (server.tls_key_file is None):
        there, missing = ("cert", "key") if server.tls_key_file is None else ("key", "cert")
        path = f"server.tls_{there}_file"
        message = f"needs server.tls_{missing}_file as well; with one of the two nothing can be served"
        yield Problem(place=_place_of(tree, path), path=path, message=message)


def _check_client_certificates(document: Document, tree: Node) -> Iterable[Problem]:
    if document.server.tls_cert_file is None and any(one.type == "mtls" for one in document.auth.methods):
        message = "the method 'mtls' needs the TLS port; set server.tls_cert_file and server.tls_key_file"
        yield Problem(place=_place_of(tree, "auth.methods"), path="auth.methods", message=message)


def _check_methods(document: Document, tree: Node) -> Iterable[Problem]:
    """What was proved is asked about again by the name of its method, which must then be one."""
    types = [one.type for one in document.auth.methods]
    for name in sorted({one for one in types if types.count(one) > 1} - {"oidc"}):
        message = f"the method '{name}' has two entries; write one"
        yield Problem(place=_place_of(tree, "auth.methods"), path="auth.methods", message=message)


def _check_issuers(document: Document, tree: Node) -> Iterable[Problem]:
    issuers = [one.issuer for one in document.auth.methods if one.type == "oidc"]
    if len(issuers) != len(set(issuers)):
        message = "two entries of the method 'oidc' have the same issuer; write one, with the audiences of both"
        yield Problem(place=_place_of(tree, "auth.methods"), path="auth.methods", message=message)


def _check_open_door(document: Document, tree: Node) -> Iterable[Problem]:
    host = document.server.host
    if not document.auth.enabled and not is_loopback(host):
        message = f"authentication can only be off where server.host is a loopback address, and it is '{host}'"
        yield Problem(place=_place_of(tree, "auth.enabled"), path="auth.enabled", message=message)


def _check_ports(document: Document, tree: Node) -> Iterable[Problem]:
    server, metrics = document.server, document.metrics
    ports = {"server.port": server.port}
    if server.tls_cert_file is not None:
        ports["server.tls_port"] = server.tls_port
    if metrics is not None:
        ports["metrics.port"] = metrics.port
    taken: dict[int, str] = {}
    for path, port in ports.items():
        if port and port in taken:
            yield Problem(place=_place_of(tree, path), path=path, message=f"the same port as {taken[port]}")
        taken[port] = path


def _check_strategies(document: Document, tree: Node) -> Iterable[Problem]:
    for name, instance in document.instances.items():
        entry = tree.child("instances")
        for step in (name, "authentication", "strategies"):
            entry = entry.child(step) if entry is not None else None
        for index, strategy in enumerate(instance.strategies):
            reason = credentials.unfit(strategy, instance.type)
            node = entry.child(index) if entry is not None else None
            if reason is not None and node is not None:
                path = join(f"instances.{name}.authentication.strategies", index)
                yield Problem(place=node.place, path=path, message=reason)


def _check_instances_named(document: Document, tree: Node) -> Iterable[Problem]:
    """Every instance that a model, a host or a transformation names must be there."""
    named: dict[tuple[str, ...], str] = {
        **{("models", name, "instance"): one.instance for name, one in document.models.items()},
        **{
            ("hosts", name, "instance"): one.instance
            for name, one in document.hosts.items()
            if one.instance is not None
        },
        **{("transformations", name): name for name in document.transformations},
    }
    for steps, instance in (*named.items(), *_instances_of_policies(document)):
        if instance not in document.instances:
            near = difflib.get_close_matches(instance, document.instances, n=1)
            message = f"no instance is named '{instance}'" + (f"; did you mean '{near[0]}'?" if near else "")
            yield Problem(place=_place(tree, steps), path=".".join(steps), message=message)


def _instances_of_policies(document: Document) -> Iterable[tuple[tuple[str, ...], str]]:
    for steps, policy in document.policies.every():
        yield from ((("policies", *steps, "instances"), name) for name in policy.instances or ())


def _check_gateway_hosts(document: Document, tree: Node) -> Iterable[Problem]:
    owned = _owned(document)
    for host in document.server.gateway_hosts:
        if host in owned:
            message = f"'{host}' is {owned[host]}; a gateway host is a name of our own"
            yield Problem(place=_place_of(tree, "server.gateway_hosts"), path="server.gateway_hosts", message=message)


def _owned(document: Document) -> dict[str, str]:
    """The hosts that are intercepted because of an instance, and what each is."""
    owned: dict[str, str] = {}
    for name, instance in document.instances.items():
        handler = providers.build(name, instance)
        asked = token_hosts.served([(handler.provider, handler.region, handler.base.host)])
        owned |= {origin.host: f"a token host of instance '{name}'" for origin in asked if origin.host not in owned}
        owned |= {origin.host: f"the provider's host of instance '{name}'" for origin in handler.hosts}
    return owned


def _check_egress(document: Document, tree: Node) -> Iterable[Problem]:
    """What is decrypted is never tunnelled, and a list that says otherwise was meant in another way."""
    owned = _owned(document)
    entries = tree.child("egress")
    allowed = entries.child("allow") if entries is not None else None
    for index, target in enumerate(document.egress.allow):
        node = allowed.child(index) if allowed is not None else None
        place, path = node.place if node is not None else tree.place, join("egress.allow", index)
        if target.host in owned:
            message = f"'{target.host}' is {owned[target.host]}, which is decrypted"
            yield Problem(place=place, path=path, message=f"{message}; remove it here")
        elif target.host in document.server.gateway_hosts:
            yield Problem(
                place=place, path=path, message=f"'{target.host}' is a name of our own (server.gateway_hosts)"
            )
        elif (
            is_ip_literal(target.host)
            and is_private(target.host)
            and target.host not in document.upstream.allow_private
        ):
            message = f"'{target.host}' is a private or reserved address; if that is meant, name it in"
            yield Problem(place=place, path=path, message=f"{message} upstream.allow_private as well")


_CHECKS: tuple[Callable[[Document, Node], Iterable[Problem]], ...] = (
    _check_tls_files,
    _check_client_certificates,
    _check_methods,
    _check_issuers,
    _check_open_door,
    _check_ports,
    _check_strategies,
    _check_instances_named,
    _check_gateway_hosts,
    _check_egress,
    check_links,
)
