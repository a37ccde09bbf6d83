"""What is written down: one flat value for each decision, with no body and no secret in it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, ClassVar, Literal

from llmauth.secrets import MASK
from llmauth.storage.key_text import PREFIX, may_hold_key

LONGEST_TEXT = 200
MOST_IN_LIST = 100
_SHORT = 32
Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One decision. Fields are text, numbers, truth values, or tuples of those; `None` is left out of the line."""

    kind: ClassVar[str] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestDecided(Record):
    """Whether a request was allowed. `decisions` are the routers' own, as `router: outcome (reason)`.

    `method` is how the caller proved itself, `client` its address, `door` how it came (`path`, `native`, `tunnel` …).
    `status`, `code` and `reason` tell why it was not allowed.
    """

    kind: ClassVar[str] = "request"
    request_id: str
    decision: Literal["allow", "deny"]
    user: str | None = None
    method: str | None = None
    key_id: str | None = None
    groups: tuple[str, ...] = ()
    client: str | None = None
    door: str | None = None
    protocol: str | None = None
    operation: str | None = None
    http_method: str | None = None
    host: str | None = None
    instance: str | None = None
    provider: str | None = None
    model: str | None = None
    strategy: str | None = None
    status: int | None = None
    code: str | None = None
    reason: str | None = None
    decisions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestEnded(Record):
    """What became of a request that was allowed. `cost` is money as exact decimal text; `cut`: not answered whole.

    `received` and `sent` are the bytes of a WebSocket, from its client and to it."""

    kind: ClassVar[str] = "outcome"
    request_id: str
    status: int
    seconds: float
    user: str | None = None
    instance: str | None = None
    model: str | None = None
    provider_request_id: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: str | None = None
    sent: int | None = None
    received: int | None = None
    cut: bool | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialFetched(Record):
    """A strategy was asked for a provider's credential; `source` is a place and never a value."""

    kind: ClassVar[str] = "credential"
    instance: str
    strategy: str
    result: Literal["fetched", "failed"]
    source: str | None = None
    reason: str | None = None
    expires_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Administered(Record):
    """A change of keys, second factors or sessions. `by` is who did it, `subject` the id of what was changed."""

    kind: ClassVar[str] = "admin"
    action: str
    by: str
    result: Literal["done", "refused"] = "done"
    subject: str | None = None
    user: str | None = None
    name: str | None = None
    reason: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(Record):
    """The first record of every file: its name, why it was begun, and what else was there.

    `follows` are files that had ended, `seen` those that were still being written, each as `name seq hash`; `broken`
    is the file, likewise, that could not be written any more.
    """

    kind: ClassVar[str] = "start"
    file: str
    cause: Literal["start", "rotation", "recovery"]
    version: str
    process: int
    host: str
    follows: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()
    broken: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped(Record):
    """The last record of a file: its process ended in order, or went on in another one. Nothing may stand behind it."""

    kind: ClassVar[str] = "stop"
    cause: Literal["stop", "rotation"]
    version: str


_KINDS: tuple[type[Record], ...] = (RequestDecided, RequestEnded, CredentialFetched, Administered, Started, Stopped)
KINDS = tuple(kind.kind for kind in _KINDS)
# Names of files are ours, and a start may name many.
_WHOLE = frozenset({"file", "follows", "seen", "broken"})
_CHAINED = ("seq", "at", "kind")

COLUMNS = (*_CHAINED, *dict.fromkeys(field.name for kind in _KINDS for field in fields(kind)), "prev", "hash")
"""Every name that a line may hold, in the order in which people read them."""

_NAMES = {kind: tuple(field.name for field in fields(kind)) for kind in _KINDS}
_VALUES = {kind: attrgetter("kind", *names) for kind, names in _NAMES.items()}


def facts(record: Record) -> dict[str, Any]:
    """The record as a flat mapping, texts and lists cut to their limits.

    TypeError, which names the field and never the value, for what is no plain value: a Secret, bytes, an object.
    """
    kind = type(record)
    names = _NAMES.get(kind)
    if names is None:
        raise TypeError(f"{kind.__name__} is no kind of audit record")
    values = iter(_VALUES[kind](record))
    told: dict[str, Any] = {"kind": next(values)}
    for name, value in zip(names, values, strict=True):
        if value is None or value == ():
            continue
        short = type(value) is str and len(value) < _SHORT and PREFIX not in value
        told[name] = value if short or name in _WHOLE else _plain(name, value)
    return told


def _plain(name: str, value: object) -> object:
    if isinstance(value, str):
        # A caller's key that was put where a model is named would be kept for years.
        return MASK if may_hold_key(value) else value[:LONGEST_TEXT]
    if isinstance(value, int | float):
        return value
    if isinstance(value, tuple):
        return [_plain(name, each) for each in value[:MOST_IN_LIST]]
    raise TypeError(f"{name} of an audit record is a {type(value).__name__}, and may be text or a number")
