"""What is kept of a key, a session or an access-key pair, and how it is read from its row and written to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, insert, or_, select, update

from llmauth.rules import NO_RULES, Rules
from llmauth.storage import stored_rules
from llmauth.storage.home import StateError
from llmauth.storage.key_text import shown
from llmauth.storage.tables import KEYS, LIVING, NAMED, REVISION

Kind = Literal["key", "session", "aws"]


class KeyNotFound(StateError):
    """No key has this name or id, or it was revoked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """What is kept of a key (`kind` "key"), of a session, or of an access-key pair ("aws"). All times are Unix time.

    `last_used` may be some seconds late. `enrolled` is when its second factor was. Of a session, `parent` is the id of
    the key that it came from, `method` what proved it, and `second_factor` whether one was shown; `name` is the key's,
    or the user's. `sealed` is the encrypted secret of a pair.
    """

    id: str
    name: str
    user: str
    groups: tuple[str, ...]
    algorithm: str
    hash: str = field(repr=False)
    created: float
    expires: float | None
    revoked: float | None
    last_used: float | None
    kind: Kind = "key"
    parent: str | None = None
    method: str | None = None
    rules: Rules = NO_RULES
    require_totp: bool = False
    enrolled: float | None = None
    sealed: str | None = field(default=None, repr=False)
    second_factor: bool = False

    def ended(self, at: float) -> bool:
        """Whether it was revoked, or has expired by then."""
        return self.revoked is not None or (self.expires is not None and self.expires <= at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The records that changed after revision `since` (all of them for 0), revoked ones too, as they are at `revision`.

    Sessions are deleted a day after they ended, which is no change; a snapshot of all no longer has them.
    """

    since: int
    revision: int
    records: tuple[KeyRecord, ...]


_NAMES = tuple(each.name for each in fields(KeyRecord))
_COLUMNS = [KEYS.c[name] for name in _NAMES]


def advance(connection: Connection) -> int:
    """The next revision. It is the first statement of every change, so that its row also keeps writers in line."""
    connection.execute(update(REVISION).values(value=REVISION.c.value + 1))
    return revision_of(connection)


def revision_of(connection: Connection) -> int:
    """The revision of the last change."""
    return connection.execute(select(REVISION.c.value)).scalar() or 0


def all_records(connection: Connection, condition: ColumnElement[bool]) -> Iterator[KeyRecord]:
    """The records of which this is true."""
    return (_record(row) for row in connection.execute(select(*_COLUMNS).where(condition)))


def living(connection: Connection, name_or_id: str) -> KeyRecord:
    """The one record that lives under a name or id; sessions have none but their id. KeyNotFound."""
    named = or_((KEYS.c.name == name_or_id) & NAMED, KEYS.c.id == name_or_id)
    found = list(all_records(connection, named & LIVING)) if name_or_id.isprintable() else []
    if not found:
        raise KeyNotFound(unknown(name_or_id))
    if len(found) > 1:
        raise KeyNotFound(ambiguous(name_or_id))
    return found[0]


def unknown(name_or_id: str) -> str:
    """The sentence for what no living key is called."""
    return f"No living key has the name or id {shown(name_or_id)!r}. `llmauth keys list` shows them."


def ambiguous(name_or_id: str) -> str:
    """The sentence for what two living keys are called."""
    return f"{name_or_id!r} is the name of one key and the id of another. Use the id that you mean."


def store(connection: Connection, revision: int, *records: KeyRecord) -> None:
    """Write new records."""
    connection.execute(insert(KEYS), [_row(revision, record) for record in records])


def end(connection: Connection, revision: int, which: ColumnElement[bool], at: float) -> None:
    """End for good what lives of these; what was sealed of it is forgotten."""
    ended = {"revoked": at, "revision": revision, "sealed": None}
    connection.execute(update(KEYS).where(which & LIVING).values(ended))


def _row(revision: int, record: KeyRecord) -> dict[str, Any]:
    values = {name: getattr(record, name) for name in _NAMES}
    kept = {"rules": stored_rules.to_json(record.rules), "groups": list(record.groups), "revision": revision}
    return {**values, **kept}


def _record(row: Sequence[Any]) -> KeyRecord:
    values = dict(zip(_NAMES, row, strict=True))
    values["groups"] = tuple(values["groups"])
    values["rules"] = stored_rules.from_json(values["rules"], values["id"])
    return KeyRecord(**values)
