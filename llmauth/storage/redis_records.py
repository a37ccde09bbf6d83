"""A record as a hash of Redis: text alone, and without the fields that say nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from llmauth.storage import stored_rules
from llmauth.storage.records import KeyRecord, Kind

_TIMES = ("created", "expires", "revoked", "last_used", "enrolled")
_FLAGS = ("require_totp", "second_factor")
_TEXTS = ("id", "name", "user", "algorithm", "hash", "kind", "parent", "method", "sealed")
_OPTIONAL = {"expires", "revoked", "last_used", "enrolled", "parent", "method", "sealed"}


class Unreadable(Exception):
    """What was found is no record."""


def to_fields(record: KeyRecord) -> list[str]:
    """Names and values in turn, as HSET takes them."""
    said: dict[str, str] = {name: repr(float(at)) for name in _TIMES if (at := getattr(record, name)) is not None}
    said.update({name: text for name in _TEXTS if (text := getattr(record, name)) is not None})
    said.update({name: "1" for name in _FLAGS if getattr(record, name)})
    said["groups"] = json.dumps(list(record.groups))
    said["rules"] = json.dumps(stored_rules.to_json(record.rules))
    return [word for pair in said.items() for word in pair]


def from_fields(told: Sequence[str]) -> KeyRecord:
    """The record of names and values in turn, as HGETALL tells them; Unreadable for what is none."""
    try:
        return KeyRecord(**_values(pairs(told)))
    except (ValueError, TypeError, LookupError):
        raise Unreadable from None


def _values(said: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {name: _required(said, name) for name in _TEXTS}
    times = {name: _required(said, name) for name in _TIMES}
    values.update({name: None if at is None else float(at) for name, at in times.items()})
    values.update({name: _flag(said.get(name)) for name in _FLAGS})
    values["groups"] = _words(json.loads(said["groups"]))
    values["rules"] = stored_rules.from_json(_rules(said["rules"]), values["id"])
    if values["kind"] not in get_args(Kind):
        raise ValueError
    return values


def _required(said: Mapping[str, str], name: str) -> str | None:
    return said.get(name) if name in _OPTIONAL else said[name]


def _flag(said: str | None) -> bool:
    if said not in (None, "1"):
        raise ValueError
    return said == "1"


def _rules(said: str) -> Any:
    try:
        return json.loads(said)
    except ValueError:
        return None  # which allows nothing


def _words(said: Any) -> tuple[str, ...]:
    if not isinstance(said, list) or not all(isinstance(each, str) for each in said):
        raise ValueError
    return tuple(said)


def pairs(told: Sequence[str]) -> dict[str, str]:
    """What a hash holds, of names and values in turn."""
    return dict(zip(told[::2], told[1::2], strict=True))
