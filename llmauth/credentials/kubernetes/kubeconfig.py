"""kubectl's configuration: one file or several, joined as kubectl joins them, and the context that is meant."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llmauth.credentials import file
from llmauth.credentials.kubernetes.names import is_namespace, shown
from llmauth.platform import Machine
from llmauth.sources import SourceFailed, SourceUnavailable

# Thirty clusters with their certificates are a tenth of it.
MAX_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a file says of a cluster or of a user; `folder` is where its relative paths start."""

    name: str
    fields: Mapping[str, Any] = field(repr=False)
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """A cluster, a user of it, and the namespace that is meant where none is named."""

    name: str
    cluster: Entry
    user: Entry
    namespace: str | None


@dataclass(slots=True)
class _Joined:
    """All files so far: of two that say the same, the first one counts."""

    current: str = ""
    contexts: dict[str, Entry] = field(default_factory=dict)
    clusters: dict[str, Entry] = field(default_factory=dict)
    users: dict[str, Entry] = field(default_factory=dict)


def paths(environ: Mapping[str, str]) -> Sequence[str]:
    """The files that kubectl would read: those of KUBECONFIG, else the one in the home directory."""
    named = [path for path in environ.get("KUBECONFIG", "").split(os.pathsep) if path]
    home = environ.get("HOME") or environ.get("USERPROFILE")
    return named or ([os.path.join(home, ".kube", "config")] if home else [])


def context_of(machine: Machine, wanted: str | None) -> Context:
    """The context `wanted`, or the current one. SourceUnavailable where there is none, SourceFailed where a file
    cannot be read or does not hold together."""
    joined, found = _Joined(), []
    for path in paths(machine.environ):
        # Those of the list that do not exist are passed over, as kubectl does.
        if (content := _read(machine, path)) is not None:
            found.append(path)
            _add(joined, content, path)
    if not found:
        raise SourceUnavailable("there is no kubeconfig")
    name = wanted or joined.current
    if not name:
        raise SourceUnavailable(f"the kubeconfig {found[0]} has no current context")
    if name not in joined.contexts:
        raise SourceUnavailable(f"the kubeconfig {found[0]} has no context {shown(name)}")
    return _context(joined, joined.contexts[name])


def _read(machine: Machine, path: str) -> str | None:
    if machine.simulated:
        return machine.read(path)
    try:
        return file.read_text(Path(path), most=MAX_BYTES)
    except SourceUnavailable:
        return None


def _add(joined: _Joined, content: str, path: str) -> None:
    told = _parsed(content, path)
    joined.current = joined.current or text(told, "current-context", path)
    for kind, inner, known in (
        ("contexts", "context", joined.contexts),
        ("clusters", "cluster", joined.clusters),
        ("users", "user", joined.users),
    ):
        for entry in _entries(told.get(kind), inner, path):
            known.setdefault(entry.name, entry)


def _parsed(content: str, path: str) -> Mapping[str, Any]:
    # In the thread of a load: few installations have a kubeconfig at all.
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        told = YAML(typ="safe", pure=True).load(content)
    except (YAMLError, ValueError, LookupError, RecursionError):
        raise SourceFailed(f"the kubeconfig {path} is no YAML that can be read") from None
    if told is not None and not isinstance(told, dict):
        raise SourceFailed(f"the kubeconfig {path} holds no mapping")
    return told or {}


def _entries(told: object, inner: str, path: str) -> Iterator[Entry]:
    for one in told if isinstance(told, list) else ():
        if not isinstance(one, dict) or not isinstance(one.get("name"), str):
            raise SourceFailed(f"the kubeconfig {path} holds a {inner} without a name")
        fields = one.get(inner)
        yield Entry(name=one["name"], fields=fields if isinstance(fields, dict) else {}, folder=Path(path).parent)


def _context(joined: _Joined, entry: Entry) -> Context:
    place = f"the kubeconfig's context {shown(entry.name)}"
    cluster = joined.clusters.get(text(entry.fields, "cluster", place))
    user = joined.users.get(text(entry.fields, "user", place))
    if cluster is None or user is None:
        raise SourceFailed(f"{place} names no {'cluster' if cluster is None else 'user'} of that file")
    namespace = text(entry.fields, "namespace", place)
    if namespace and not is_namespace(namespace):
        raise SourceFailed(f"{place} names a namespace that cannot be one")
    return Context(name=entry.name, cluster=cluster, user=user, namespace=namespace or None)


def text(fields: Mapping[str, Any], name: str, place: str) -> str:
    """A field that is text, empty where it is not there; SourceFailed, with the place, for anything else."""
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise SourceFailed(f"{place}: {name} is no text")
    return value or ""
