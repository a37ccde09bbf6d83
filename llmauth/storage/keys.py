"""The issued keys, pairs and sessions: made, listed, ended and replaced in the database, each change a new revision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from sqlalchemy import Connection, bindparam, delete, or_, select, true, update

from llmauth.clock import Clock, SystemClock
from llmauth.rules import NO_RULES, Rules
from llmauth.secrets import Secret
from llmauth.storage import factors, sessions
from llmauth.storage.databases import open_database
from llmauth.storage.drafts import draft, successor
from llmauth.storage.factors import Enrolment, FactorResult
from llmauth.storage.issuing import Issuing, taken
from llmauth.storage.issuing import KeyNameTaken as KeyNameTaken
from llmauth.storage.records import KeyNotFound as KeyNotFound
from llmauth.storage.records import KeyRecord as KeyRecord
from llmauth.storage.records import Snapshot as Snapshot
from llmauth.storage.records import advance, all_records, end, living, revision_of, store
from llmauth.storage.sealing import SealingKey
from llmauth.storage.sqlite import SqliteDatabase
from llmauth.storage.tables import KEYS, LIVING, NAMED, REVISION

SESSIONS_KEPT_SECONDS = 86_400.0
STALE_SECONDS = 1.0
"""A revocation takes effect within a second, so what was read longer ago than this says nothing any more."""
SHARED_STALE_SECONDS = 60.0
"""The outage of a server must not end the traffic of all who share it, so what was read last is good for longer."""


class KeyStore(Issuing):
    """The keys of one database. Every method may raise StateError; a change is on the disk when it returns.

    `stale_after` is for how many seconds what was read last may be judged by. Without a `sealing` key, that in the
    folder of a database file is used; a server's database then has none.
    """

    def __init__(
        self,
        location: str | Path,
        clock: Clock | None = None,
        *,
        sealing: SealingKey | None = None,
        stale_after: float | None = None,
    ) -> None:
        self._database = open_database(location)
        folder = self._database.path.parent if isinstance(self._database, SqliteDatabase) else None
        super().__init__(clock or SystemClock(), sealing or SealingKey(folder))
        self.shared = self._database.shared
        self.stale_after = stale_after or (SHARED_STALE_SECONDS if self.shared else STALE_SECONDS)
        self._read_at = self._clock.monotonic()

    # ---- keys and pairs ----------------------------------------------------------------------------------------

    def revoke(self, name_or_id: str) -> KeyRecord:
        """End a key for good, its sessions with it; KeyNotFound when no living key has this name or id."""
        with self._database.writing() as connection:
            revision, now = advance(connection), self._clock.wall()
            record = living(connection, name_or_id)
            end(connection, revision, sessions.with_those_of(record.id), now)
            factors.forget(connection, record.id)
        return replace(record, revoked=now, sealed=None)

    def rotate(self, name_or_id: str) -> tuple[KeyRecord, Secret]:
        """A new id and secret under the same name, user, groups and rules, with the second factor as it stands.

        The old key ends in the same moment, and its sessions. A key that expires gets the same length of life again.
        """
        with self._database.writing() as connection:
            revision, now = advance(connection), self._clock.wall()
            old = living(connection, name_or_id)
            made, secret = successor(old, now)
            end(connection, revision, sessions.with_those_of(old.id), now)
            factors.move(connection, self._sealing, old.id, made.id)
            made = self._sealed(connection, made, secret)
            store(connection, revision, made)
        return made, secret

    # ---- sessions ----------------------------------------------------------------------------------------------

    def open_session(
        self,
        *,
        user: str,
        groups: Iterable[str],
        method: str,
        key_id: str | None,
        key_name: str | None,
        second_factor: bool,
        ends_at: float,
        rules: Rules = NO_RULES,
        issued: bool = True,
    ) -> tuple[KeyRecord, Secret]:
        """A new session, which ends at `ends_at`, or with its key where there is one; its text is told here alone.

        Where it is not `issued` here, `key_id` is what the method calls that which was shown, and nothing is asked
        of it. Of one key (of one user and method, without a key) the oldest ends when there would be more than EACH.
        KeyNotFound for a key that has ended.
        """
        now = self._clock.wall()
        made, secret = draft("session", name=key_name or user, user=user, groups=groups, created=now, expires=ends_at)
        made = replace(made, method=method, parent=key_id, rules=rules, second_factor=second_factor)
        with self._database.writing() as connection:
            revision = advance(connection)
            if key_id is not None and issued:
                made = replace(made, expires=sessions.end_within(connection, key_id, ends_at, now))
            sessions.make_room(connection, revision, made, now)
            store(connection, revision, made)
        return made, secret

    def close_session(self, session_id: str) -> bool:
        """End a session for good; False where it had ended already, or never was."""
        with self._database.writing() as connection:
            its = (KEYS.c.id == session_id) & ~NAMED & LIVING
            if connection.execute(select(KEYS.c.id).where(its)).first() is None:
                return False
            end(connection, advance(connection), its, self._clock.wall())
        return True

    def forget_sessions(self) -> int:
        """Delete the sessions that ended more than a day ago, and say how many there were. This is no change."""
        over = sessions.ended_before(self._clock.wall() - SESSIONS_KEPT_SECONDS)
        with self._database.reading() as connection:
            if connection.execute(select(KEYS.c.id).where(over).limit(1)).first() is None:
                return 0
        with self._database.writing() as connection:
            _take_turn(connection)
            return connection.execute(delete(KEYS).where(over)).rowcount

    # ---- second factors ----------------------------------------------------------------------------------------

    def enrol(self, name_or_id: str) -> Enrolment:
        """A second factor for a key or pair, in the place of the one it had; its sessions end.

        KeyNotFound, and StateError where nothing can be sealed.
        """
        with self._database.writing() as connection:
            revision, now = advance(connection), self._clock.wall()
            record = living(connection, name_or_id)
            if record.kind == "session":
                raise KeyNotFound(f"{record.id} is a session. A second factor belongs to its key, '{record.name}'.")
            factors.forget(connection, record.id)
            self._sealing.require(factors.sealed_heads(connection))
            enrolment = factors.enrol(connection, self._sealing, replace(record, enrolled=now))
            end(connection, revision, KEYS.c.parent == record.id, now)
            connection.execute(update(KEYS).where(KEYS.c.id == record.id).values(enrolled=now, revision=revision))
        return enrolment

    def prove_factor(self, key_id: str, code: str, at: float) -> FactorResult:
        """Judge a code at this Unix time and use it up, once among all processes; what is wrong is counted.

        StateError where nobody can tell: then nothing was proved.
        """
        with self._database.writing() as connection:
            return factors.prove(connection, self._sealing, key_id, code, at)

    # ---- following ---------------------------------------------------------------------------------------------

    def snapshot(self, since: int = 0) -> Snapshot:
        """Everything that is needed to judge keys in memory, or what changed of it since a revision."""
        with self._database.reading() as connection:
            revision = revision_of(connection)
            records = tuple(all_records(connection, KEYS.c.revision > since))
        return Snapshot(since=since, revision=revision, records=records)

    def version(self) -> tuple[int, int]:
        """Two numbers that stay the same as long as a snapshot that was taken is still true; cheap to ask."""
        began = self._clock.monotonic()
        with self._database.reading() as connection:
            version = self._database.generation, revision_of(connection)
        self._read_at = began
        return version

    def is_behind(self) -> bool:
        """Whether nobody could read the version for longer than a second: what is known may not be what is true."""
        return self._clock.monotonic() - self._read_at > STALE_SECONDS

    def touch(self, used: Mapping[str, float]) -> None:
        """Note when keys (by id) were last used; this is no change of the revision, and never turns time back."""
        later = or_(KEYS.c.last_used.is_(None), KEYS.c.last_used < bindparam("at"))
        statement = update(KEYS).where(KEYS.c.id == bindparam("key"), later).values(last_used=bindparam("at"))
        if used:
            with self._database.writing() as connection:
                _take_turn(connection)
                connection.execute(statement, [{"key": key, "at": at} for key, at in used.items()])

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def _records(self, *, with_sessions: bool) -> Iterable[KeyRecord]:
        with self._database.reading() as connection:
            return list(all_records(connection, true() if with_sessions else NAMED))

    def _issue(self, record: KeyRecord, secret: Secret) -> KeyRecord:
        with self._database.writing() as connection:
            revision = advance(connection)
            holder = next(all_records(connection, (KEYS.c.name == record.name) & NAMED & LIVING), None)
            if holder is not None:
                raise KeyNameTaken(taken(holder, self._clock.wall()))
            record = self._sealed(connection, record, secret)
            store(connection, revision, record)
        return record

    def _sealed(self, connection: Connection, record: KeyRecord, secret: Secret) -> KeyRecord:
        if record.kind != "aws":
            return record
        self._sealing.require(factors.sealed_heads(connection))
        return replace(record, sealed=self._sealing.seal(secret, KEYS.name, record.id))


def _take_turn(connection: Connection) -> None:
    """Be the only writer of keys, without a new revision: two who change rows in different orders would block."""
    connection.execute(select(REVISION.c.value).with_for_update())
