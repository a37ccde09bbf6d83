"""Interface endpoints of instances: the addresses that they give the hosts of their services, for all instances."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from llmauth import providers
from llmauth.addresses import HostPort
from llmauth.config.document import Document
from llmauth.config.problems import Problem
from llmauth.config.tree import Node, join
from llmauth.providers.private_link import Link


def addresses(document: Document) -> Mapping[str, HostPort]:
    """By the host of each service, where it is dialled; what `upstream.resolve` says of the endpoint counts for it."""
    resolve = document.upstream.resolve
    return {link.service.host: resolve.get(link.place.host, link.place) for _, link in _links(document)}


def check_links(document: Document, tree: Node) -> Iterable[Problem]:
    """A host leads to one place, whichever instance is meant: two endpoints of one service cannot both be it."""
    first: dict[HostPort, tuple[str, Link]] = {}
    for name, link in _links(document):
        other, known = first.setdefault(link.service, (name, link))
        if known.place != link.place:
            path, node = join("instances", name), tree.child("instances")
            entry = node.child(name) if node is not None else None
            message = f"'{link.place.host}' and '{known.place.host}' of instance '{other}' are endpoints of one service"
            place = tree.place if entry is None else entry.place
            yield Problem(place=place, path=path, message=f"{message} in one region; a gateway uses one of them")


def _links(document: Document) -> Iterator[tuple[str, Link]]:
    for name, options in document.instances.items():
        yield from ((name, link) for link in providers.build(name, options).links)
