"""The issued keys: created, listed, revoked and rotated in the database, each change under a new revision."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
    Connection,
    Float,
    Index,
    Integer,
    String,
    Table,
    bindparam,
    insert,
    or_,
    select,
    update,
)

from llmauth.clock import Clock, SystemClock
from llmauth.secrets import Secret
from llmauth.storage.engine import METADATA, Database
from llmauth.storage.home import StateError
from llmauth.storage.key_text import ALGORITHM, hash_key, new_key

_REVISION = Table(
    "revision",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("value", Integer, nullable=False),
)
_KEYS = Table(
    "keys",
    METADATA,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("user", String, nullable=False),
    Column("groups", JSON, nullable=False),
    Column("algorithm", String, nullable=False),
    Column("hash", String, nullable=False),
    Column("created", Float, nullable=False),
    Column("expires", Float),
    Column("revoked", Float),
    Column("last_used", Float),
    # That of the last change, `last_used` apart, so that what changed is read without reading all.
    Column("revision", Integer, nullable=False, index=True),
)
_RECORD = [column for column in _KEYS.c if column.name != "revision"]
_LIVING = _KEYS.c.revoked.is_(None)
Index("living_names", _KEYS.c.name, unique=True, sqlite_where=_LIVING, postgresql_where=_LIVING)

_NAME = re.compile(r"\w[\w.@:/+-]{0,99}")


class KeyNameTaken(StateError):
    """A living key has this name already."""


class KeyNotFound(StateError):
    """No key has this name or id, or it was revoked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """What is kept of a key. All times are Unix time; `last_used` may be some seconds late."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The keys that changed after revision `since` (all of them for 0), revoked ones too, as they are at `revision`."""

    since: int
    revision: int
    records: tuple[KeyRecord, ...]


class KeyStore:
    """The keys of one database. Every method may raise StateError; a change is on the disk when it returns."""

    def __init__(self, location: str | Path, clock: Clock | None = None) -> None:
        self._database = Database(location)
        self._clock = clock or SystemClock()

    def create(
        self, name: str, user: str | None = None, groups: Iterable[str] = (), expires_at: float | None = None
    ) -> tuple[KeyRecord, Secret]:
        """A new key, whose text is told here and never again. The user is `name` unless given.

        Raises KeyNameTaken, and ValueError for a name that is none.
        """
        owner, member = user if user is not None else name, tuple(groups)
        for each in (name, owner, *member):
            _require_name(each)
        with self._database.writing() as connection:
            revision = _advance(connection)
            taken = _one(connection, (_KEYS.c.name == name) & _LIVING)
            if taken is not None:
                raise KeyNameTaken(_taken(taken, self._clock.wall()))
            return self._issue(connection, revision, name, owner, member, expires_at)

    def list(self) -> tuple[KeyRecord, ...]:
        """All keys by name, the living one of a name first and then the revoked ones, latest first."""
        with self._database.reading() as connection:
            records = _all(connection)
        return tuple(sorted(records, key=lambda r: (r.name, r.revoked is not None, -r.created)))

    def revoke(self, name_or_id: str) -> KeyRecord:
        """End a key for good; KeyNotFound when no living key has this name or id."""
        with self._database.writing() as connection:
            revision = _advance(connection)
            return self._end(connection, revision, _living(connection, name_or_id))

    def rotate(self, name_or_id: str) -> tuple[KeyRecord, Secret]:
        """A new id and secret under the same name, user and groups; the old key ends in the same moment.

        A key that expires gets the same length of life again.
        """
        with self._database.writing() as connection:
            revision = _advance(connection)
            old = _living(connection, name_or_id)
            self._end(connection, revision, old)
            expires = None if old.expires is None else self._clock.wall() + old.expires - old.created
            return self._issue(connection, revision, old.name, old.user, old.groups, expires)

    def snapshot(self, since: int = 0) -> Snapshot:
        """Everything that is needed to judge keys in memory, or what changed of it since a revision."""
        with self._database.reading() as connection:
            revision = _revision(connection)
            return Snapshot(since=since, revision=revision, records=_all(connection, since))

    def version(self) -> tuple[int, int]:
        """Two numbers that stay the same as long as a snapshot that was taken is still true; cheap to ask."""
        with self._database.reading() as connection:
            return self._database.generation, _revision(connection)

    def touch(self, used: Mapping[str, float]) -> None:
        """Note when keys (by id) were last used; this is no change of the revision, and never turns time back."""
        later = or_(_KEYS.c.last_used.is_(None), _KEYS.c.last_used < bindparam("at"))
        statement = update(_KEYS).where(_KEYS.c.id == bindparam("key"), later).values(last_used=bindparam("at"))
        if used:
            with self._database.writing() as connection:
                connection.execute(statement, [{"key": key, "at": at} for key, at in used.items()])

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def _issue(
        self,
        connection: Connection,
        revision: int,
        name: str,
        user: str,
        groups: tuple[str, ...],
        expires: float | None,
    ) -> tuple[KeyRecord, Secret]:
        key_id, key = new_key()
        record = KeyRecord(
            id=key_id,
            name=name,
            user=user,
            groups=groups,
            algorithm=ALGORITHM,
            hash=hash_key(key),
            created=self._clock.wall(),
            expires=expires,
            revoked=None,
            last_used=None,
        )
        connection.execute(insert(_KEYS).values({**asdict(record), "revision": revision}))
        return record, key

    def _end(self, connection: Connection, revision: int, record: KeyRecord) -> KeyRecord:
        ended = replace(record, revoked=self._clock.wall())
        connection.execute(
            update(_KEYS).where(_KEYS.c.id == record.id).values(revoked=ended.revoked, revision=revision)
        )
        return ended


def _advance(connection: Connection) -> int:
    """The next revision. It is the first statement of every change, so that its row also keeps writers in line."""
    changed = connection.execute(update(_REVISION).values(value=_REVISION.c.value + 1))
    if changed.rowcount == 0:
        connection.execute(insert(_REVISION).values(id=1, value=1))
    return _revision(connection)


def _revision(connection: Connection) -> int:
    return connection.execute(select(_REVISION.c.value)).scalar() or 0


def _all(connection: Connection, since: int = 0) -> tuple[KeyRecord, ...]:
    return tuple(_record(row) for row in connection.execute(select(*_RECORD).where(_KEYS.c.revision > since)))


def _one(connection: Connection, condition: ColumnElement[bool]) -> KeyRecord | None:
    row = connection.execute(select(*_RECORD).where(condition)).first()
    return None if row is None else _record(row)


def _living(connection: Connection, name_or_id: str) -> KeyRecord:
    named = or_(_KEYS.c.name == name_or_id, _KEYS.c.id == name_or_id)
    found = connection.execute(select(*_RECORD).where(named & _LIVING)).all()
    if not found:
        raise KeyNotFound(f"No living key has the name or id '{name_or_id}'. `llmauth keys list` shows them.")
    if len(found) > 1:
        raise KeyNotFound(f"'{name_or_id}' is the name of one key and the id of another. Use the id that you mean.")
    return _record(found[0])


def _record(row: Sequence[Any]) -> KeyRecord:
    key_id, name, user, groups, algorithm, hashed, created, expires, revoked, last_used = row
    return KeyRecord(
        id=key_id,
        name=name,
        user=user,
        groups=tuple(groups),
        algorithm=algorithm,
        hash=hashed,
        created=created,
        expires=expires,
        revoked=revoked,
        last_used=last_used,
    )


def _require_name(text: str) -> None:
    if not _NAME.fullmatch(text):
        raise ValueError(
            f"{text[:40]!r} cannot be the name of a key, user or group; "
            "use 1 to 100 letters, digits and . _ @ : / + - with a letter or digit first."
        )


def _taken(record: KeyRecord, now: float) -> str:
    state = "an expired" if record.expires is not None and record.expires <= now else "a living"
    return (
        f"There is {state} key named '{record.name}' (id {record.id}). "
        f"Replace it by `llmauth keys rotate {record.name}`, or end it first by `llmauth keys revoke {record.name}`."
    )
