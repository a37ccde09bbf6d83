"""The issued keys, pairs and sessions in Redis: the same as in the tables, each change one script."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import batched
from typing import Any, Final

from llmauth.clock import Clock, SystemClock
from llmauth.rules import NO_RULES, Rules
from llmauth.secrets import Secret
from llmauth.storage import codes, redis_scripts, sessions
from llmauth.storage.codes import Enrolment, FactorResult, new_enrolment
from llmauth.storage.drafts import draft, successor
from llmauth.storage.home import StateUnusable
from llmauth.storage.issuing import Issuing, KeyNameTaken, taken
from llmauth.storage.keys import SESSIONS_KEPT_SECONDS, SHARED_STALE_SECONDS, STALE_SECONDS
from llmauth.storage.records import KeyNotFound, KeyRecord, Snapshot, ambiguous, unknown
from llmauth.storage.redis_database import RedisDatabase
from llmauth.storage.redis_records import Unreadable, from_fields, pairs, to_fields
from llmauth.storage.sealing import HEAD_LENGTH, SealingKey
from llmauth.storage.tables import FACTORS, KEYS

PAGE = 500
"""So many records are read in one step: the server does nothing else meanwhile."""
_TRIES = 20
_MOST_FAILURES: Final = codes.FREE_FAILURES + 16
_CHANGED: Final = "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What was there when it was last asked for."""

    database: str
    revision: int
    mark: str


class RedisKeys(Issuing):
    """A KeyRegistry over one Redis. A change is on the server's disk when its method returns."""

    shared: bool = True

    def __init__(
        self,
        url: str,
        clock: Clock | None = None,
        *,
        sealing: SealingKey | None = None,
        stale_after: float | None = None,
    ) -> None:
        super().__init__(clock or SystemClock(), sealing or SealingKey(None))
        self.stale_after = stale_after or SHARED_STALE_SECONDS
        self._database = RedisDatabase(url)
        self._generation = 0
        self._seen: _Seen | None = None
        self._read_at = self._clock.monotonic()

    # ---- keys and pairs ----------------------------------------------------------------------------------------

    def revoke(self, name_or_id: str) -> KeyRecord:
        """End a key for good, its sessions with it; KeyNotFound when no living key has this name or id."""
        _require_printable(name_or_id)
        outcome, *told = self._run(redis_scripts.REVOKE, name_or_id, repr(self._clock.wall()))
        _require_found(outcome, name_or_id)
        return self._record(told[0])

    def rotate(self, name_or_id: str) -> tuple[KeyRecord, Secret]:
        """A new id and secret in the place of the old ones, which end in the same moment with their sessions."""
        return self._until_done(lambda: self._rotate(name_or_id))

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
        """A new session, which ends at `ends_at`, or with its key; KeyNotFound for a key that has ended."""
        now = self._clock.wall()
        made, secret = draft("session", name=key_name or user, user=user, groups=groups, created=now, expires=ends_at)
        made = replace(made, method=method, parent=key_id, rules=rules, second_factor=second_factor)
        asked = key_id is not None and issued
        if asked and not key_id:
            raise KeyNotFound(unknown(""))
        of = key_id if asked and key_id else ""
        outcome, *told = self._run(redis_scripts.OPEN, made.id, of, repr(now), str(sessions.EACH), *to_fields(made))
        if outcome != "done":
            raise KeyNotFound(f"The key {key_id} has ended, and opens no session.")
        return replace(made, expires=float(told[0])), secret

    def close_session(self, session_id: str) -> bool:
        """End a session for good; False where it had ended already, or never was."""
        return bool(self._run(redis_scripts.CLOSE, session_id, repr(self._clock.wall()))[0] == "done")

    def forget_sessions(self) -> int:
        """Delete the sessions that ended more than a day ago, and say how many there were. This is no change."""
        before, count = repr(self._clock.wall() - SESSIONS_KEPT_SECONDS), 0
        while gone := int(self._run(redis_scripts.FORGET, before, str(PAGE))[1]):
            count += gone
        return count

    # ---- second factors ----------------------------------------------------------------------------------------

    def enrol(self, name_or_id: str) -> Enrolment:
        """A second factor for a key or pair, in the place of the one it had; its sessions end.

        KeyNotFound, and StateError where nothing can be sealed.
        """
        return self._until_done(lambda: self._enrol(name_or_id))

    def prove_factor(self, key_id: str, code: str, at: float) -> FactorResult:
        """Judge a code at this Unix time and use it up, once among all processes; what is wrong is counted.

        A code that was right and has been used is wrong, but no failure. StateError where nobody can tell.
        """
        return self._until_done(lambda: self._prove(key_id, code, at))

    # ---- following ---------------------------------------------------------------------------------------------

    def snapshot(self, since: int = 0) -> Snapshot:
        """Everything that is needed to judge keys in memory, or what changed of it since a revision."""
        # What changes between two pages is on a later one again, so at the last of them all are of one moment.
        found: dict[str, KeyRecord] = {}
        known, revision = since, since + 1
        while known < revision:
            _, at, upto, told = self._run(redis_scripts.CHANGED, str(known), str(PAGE))
            found.update((each.id, each) for each in map(self._record, told))
            known, revision = int(upto), int(at)
        return Snapshot(since=since, revision=revision, records=tuple(found.values()))

    def version(self) -> tuple[int, int]:
        """Two numbers that stay the same as long as a snapshot that was taken is still true; cheap to ask."""
        began, before = self._clock.monotonic(), self._seen
        known = 0 if before is None else before.revision
        _, database, revision, mark, known_mark = self._run(redis_scripts.VERSION, str(known))
        now = _Seen(database=database, revision=int(revision), mark=mark)
        if before is not None and before.database != now.database:
            self._generation += 1
        elif before is not None and (now.revision < known or known_mark not in ("", before.mark)):
            raise StateUnusable(
                f"{self._database.place} has lost changes that somebody was told of, up to revision {known}: by a "
                "failover, or by a restored backup. Revoke again what was revoked since, then start each llmauth anew."
            )
        self._seen, self._read_at = now, began
        return self._generation, now.revision

    def is_behind(self) -> bool:
        """Whether nobody could read the version for longer than a second: what is known may not be what is true."""
        return self._clock.monotonic() - self._read_at > STALE_SECONDS

    def touch(self, used: Mapping[str, float]) -> None:
        """Note when keys (by id) were last used; this is no change of the revision, and never turns time back."""
        for some in batched(used.items(), PAGE):
            self._run(redis_scripts.TOUCH, *(word for key_id, at in some for word in (key_id, repr(float(at)))))

    def close(self) -> None:
        """Close every connection."""
        self._database.close()

    # ---- one try of a change ------------------------------------------------------------------------------------

    def _issue(self, record: KeyRecord, secret: Secret) -> KeyRecord:
        return self._until_done(lambda: self._write_new(record, secret))

    def _records(self, *, with_sessions: bool) -> Iterable[KeyRecord]:
        return (each for each in self.snapshot().records if with_sessions or each.kind != "session")

    def _write_new(self, record: KeyRecord, secret: Secret) -> KeyRecord | None:
        if record.kind == "aws":
            record = self._sealed(record, secret, self._run(redis_scripts.HEADS)[1])
        outcome, *told = self._run(
            redis_scripts.ISSUE, record.id, record.name, _head(record.sealed), *to_fields(record)
        )
        if outcome == "taken":
            raise KeyNameTaken(taken(self._record(told[0]), self._clock.wall()))
        return None if outcome == _CHANGED else record

    def _rotate(self, name_or_id: str) -> tuple[KeyRecord, Secret] | None:
        old, revision, seed, sealed = self._find(name_or_id)
        now = self._clock.wall()
        made, secret = successor(old, now)
        moved = ""
        if seed:
            moved = self._sealing.seal(self._sealing.open(seed, FACTORS.name, old.id), FACTORS.name, made.id)
        if made.kind == "aws":
            made = self._sealed(made, secret, _others(sealed, f"{KEYS.name}:{old.id}"))
        arguments = (old.id, revision, seed, repr(now), made.id, _head(made.sealed), moved, *to_fields(made))
        return None if self._run(redis_scripts.ROTATE, *arguments)[0] == _CHANGED else (made, secret)

    def _enrol(self, name_or_id: str) -> Enrolment | None:
        record, revision, _, sealed = self._find(name_or_id)
        if record.kind == "session":
            raise KeyNotFound(f"{record.id} is a session. A second factor belongs to its key, '{record.name}'.")
        self._sealing.require(_others(sealed, f"{FACTORS.name}:{record.id}"))
        now = self._clock.wall()
        made = new_enrolment(replace(record, enrolled=now))
        seed = self._sealing.seal(made.secret, FACTORS.name, record.id)
        hashes = [codes.hashed(made.secret.reveal(), code.reveal()) for code in made.backup_codes]
        outcome = self._run(redis_scripts.ENROL, record.id, revision, repr(now), _head(seed), seed, *hashes)[0]
        return None if outcome == _CHANGED else made

    def _prove(self, key_id: str, code: str, at: float) -> FactorResult | None:
        _, sealed, locked = self._run(redis_scripts.FACTOR, key_id)
        if not sealed:
            return FactorResult(outcome="none")
        if locked and float(locked) > at:
            return FactorResult(outcome="locked", seconds=float(locked) - at)
        seed = self._sealing.open(sealed, FACTORS.name, key_id).reveal()
        steps = codes.steps(seed, code, at) if codes.is_code(code) else []
        backup = codes.hashed(seed, code) if codes.is_backup_code(code) else ""
        locks = [codes.locked_until(failures, at) for failures in range(1, _MOST_FAILURES + 1)]
        outcome, *told = self._run(
            redis_scripts.PROVE,
            *(key_id, sealed, repr(float(at)), backup, str(len(steps)), *map(str, steps)),
            *("" if lock is None else repr(lock) for lock in locks),
        )
        if outcome == "locked":
            return FactorResult(outcome="locked", seconds=float(told[0]) - at)
        return None if outcome == _CHANGED else FactorResult(outcome=outcome)

    # ---- asking -------------------------------------------------------------------------------------------------

    def _run(self, text: str, *arguments: str) -> Any:
        return self._database.run(text, *arguments)

    def _until_done[Result](self, attempt: Callable[[], Result | None]) -> Result:
        """What an attempt made, as soon as none of what it had read was changed by somebody else meanwhile."""
        for _ in range(_TRIES):
            made = attempt()
            if made is not None:
                return made
        raise StateUnusable(f"{self._database.place} is changed by too many at once. Try again.")

    def _find(self, name_or_id: str) -> tuple[KeyRecord, str, str, Mapping[str, str]]:
        """The living record, its revision, the sealed seed of its factor, and by which keys what is sealed."""
        _require_printable(name_or_id)
        outcome, *told = self._run(redis_scripts.FIND, name_or_id)
        _require_found(outcome, name_or_id)
        fields, seed, sealed = told
        record = self._record(fields)
        return record, pairs(fields)["revision"], seed, pairs(sealed)

    def _record(self, told: Any) -> KeyRecord:
        try:
            return from_fields(told)
        except Unreadable:
            raise StateUnusable(
                f"{self._database.place} holds a record that cannot be read: somebody else wrote it, or changed it."
            ) from None

    def _sealed(self, record: KeyRecord, secret: Secret, heads: Iterable[str]) -> KeyRecord:
        self._sealing.require(set(heads))
        return replace(record, sealed=self._sealing.seal(secret, KEYS.name, record.id))


def _head(sealed: str | None) -> str:
    return "" if sealed is None else sealed[:HEAD_LENGTH]


def _others(sealed: Mapping[str, str], going: str) -> set[str]:
    return {head for name, head in sealed.items() if name != going}


def _require_printable(name_or_id: str) -> None:
    if not name_or_id.isprintable():
        raise KeyNotFound(unknown(name_or_id))


def _require_found(outcome: str, name_or_id: str) -> None:
    if outcome == "several":
        raise KeyNotFound(ambiguous(name_or_id))
    if outcome != "done":
        raise KeyNotFound(unknown(name_or_id))
