"""What differs between two configurations, by name alone; and what of it a running process cannot take over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from pydantic import BaseModel

from llmauth.config.settings import Settings

# Opened, made or read once, at the start.
_WHOLE = ("storage", "audit", "metrics", "telemetry", "ca", "home")
_SERVER = ("host", "port", "tls_port", "http2")
_LOG = ("format",)
_TLS = ("tls_cert_file", "tls_key_file")
# Consequences of the others, or the same thing in other words.
_NOT_WRITTEN = frozenset({"files", "warnings", "unavailable", "prices_file"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """`settings` are what can be followed without a restart: the new ones, with the old values of `restart`.

    Names are dotted, and never values: these may be secrets.
    """

    settings: Settings
    taken: tuple[str, ...]
    restart: tuple[str, ...]


def between(old: Settings, new: Settings) -> Changes:
    """What changes, and what would only after a restart."""
    settings = _kept(old, new)
    taken = tuple(_differing(old, settings))
    return Changes(settings=settings, taken=taken, restart=tuple(_differing(settings, new)))


def _kept(old: Settings, new: Settings) -> Settings:
    server = {name: getattr(old.server, name) for name in _SERVER}
    if (old.server.tls_cert_file is None) != (new.server.tls_cert_file is None):  # a listener more, or one less
        server |= {name: getattr(old.server, name) for name in _TLS}
    log = {name: getattr(old.log, name) for name in _LOG}
    whole = {name: getattr(old, name) for name in _WHOLE}
    return replace(new, server=new.server.model_copy(update=server), log=new.log.model_copy(update=log), **whole)


def _differing(old: Settings, new: Settings) -> Iterator[str]:
    for field in fields(Settings):
        if field.name not in _NOT_WRITTEN:
            yield from _within(field.name, getattr(old, field.name), getattr(new, field.name))


def _within(path: str, old: Any, new: Any) -> Iterator[str]:
    """The innermost names of what differs; an entry that is there or not there is one name."""
    before, after = _entries(old), _entries(new)
    if before is None or after is None or type(old) is not type(new):
        if old != new:
            yield path
        return
    for name in (*before, *(name for name in after if name not in before)):
        inner = f"{path}.{name}"
        if name not in before or name not in after:
            yield inner
        else:
            yield from _within(inner, before[name], after[name])
    if list(before) != list(after) and before.keys() == after.keys():
        yield path  # the same entries in another order, and the first that fits counts


def _entries(value: Any) -> dict[str, Any] | None:
    if isinstance(value, BaseModel):
        return dict(value)
    return dict(value) if isinstance(value, Mapping) else None
