"""Second factors of keys in the tables: each step used once, each backup code too, and a lock after wrong ones."""

from __future__ import annotations

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from llmauth.storage.codes import Enrolment as Enrolment
from llmauth.storage.codes import FactorResult as FactorResult
from llmauth.storage.codes import hashed, is_backup_code, is_code, locked_until, new_enrolment, steps
from llmauth.storage.records import KeyRecord
from llmauth.storage.sealing import HEAD_LENGTH, SealingKey
from llmauth.storage.tables import BACKUP_CODES, FACTORS, KEYS


def enrol(connection: Connection, sealing: SealingKey, record: KeyRecord) -> Enrolment:
    """A new seed and new backup codes, in the place of all there were."""
    key_id, made = record.id, new_enrolment(record)
    forget(connection, key_id)
    seed = made.secret.reveal()
    sealed = sealing.seal(made.secret, FACTORS.name, key_id)
    connection.execute(insert(FACTORS).values(key_id=key_id, seed=sealed, last_step=0, failures=0))
    hashes = [hashed(seed, code.reveal()) for code in made.backup_codes]
    connection.execute(insert(BACKUP_CODES), [{"key_id": key_id, "hash": each} for each in hashes])
    return made


def prove(connection: Connection, sealing: SealingKey, key_id: str, code: str, at: float) -> FactorResult:
    """Judge a code and use it up. The transaction must be one that writes, and be committed whatever the result is.

    A code that was right and has been used is wrong, but no failure: many requests of one program may carry it.
    """
    row = connection.execute(select(FACTORS).where(FACTORS.c.key_id == key_id).with_for_update()).first()
    if row is None:
        return FactorResult(outcome="none")
    if row.locked_until is not None and row.locked_until > at:
        return FactorResult(outcome="locked", seconds=row.locked_until - at)
    seed = sealing.open(row.seed, FACTORS.name, key_id).reveal()
    used = _use(connection, row, seed, code, at)
    if used is None:
        failures = row.failures + 1
        _update(connection, key_id, failures=failures, locked_until=locked_until(failures, at))
    return FactorResult(outcome="accepted" if used else "wrong")


def forget(connection: Connection, key_id: str) -> None:
    """Delete the factor of a key with its codes, if it has one."""
    for table in (FACTORS, BACKUP_CODES):
        connection.execute(delete(table).where(table.c.key_id == key_id))


def move(connection: Connection, sealing: SealingKey, key_id: str, heir: str) -> None:
    """Give the factor of a key, as it stands, to the key that takes its place."""
    sealed = connection.execute(select(FACTORS.c.seed).where(FACTORS.c.key_id == key_id)).scalar()
    if sealed is not None:
        seed = sealing.seal(sealing.open(sealed, FACTORS.name, key_id), FACTORS.name, heir)
        _update(connection, key_id, key_id=heir, seed=seed)
        connection.execute(update(BACKUP_CODES).where(BACKUP_CODES.c.key_id == key_id).values(key_id=heir))


def sealed_heads(connection: Connection) -> set[str]:
    """By which keys something in the database is sealed."""
    heads: set[str] = set()
    for column in (FACTORS.c.seed, KEYS.c.sealed):
        found = connection.execute(select(func.substr(column, 1, HEAD_LENGTH)).where(column.is_not(None)).distinct())
        heads.update(found.scalars())
    return heads


def _use(connection: Connection, row: Row[tuple[object, ...]], seed: str, code: str, at: float) -> bool | None:
    """Whether the code was used up now; None for one that is none, and False for one that was used before."""
    if is_code(code):
        matched = steps(seed, code, at)
        fresh = [step for step in matched if step > row.last_step]
        if fresh:
            _update(connection, row.key_id, last_step=fresh[0], failures=0, locked_until=None)
        return bool(fresh) if matched else None
    if is_backup_code(code):
        return _use_backup(connection, row.key_id, hashed(seed, code), at)
    return None


def _use_backup(connection: Connection, key_id: str, its_hash: str, at: float) -> bool | None:
    its = (BACKUP_CODES.c.key_id == key_id) & (BACKUP_CODES.c.hash == its_hash)
    found = connection.execute(select(BACKUP_CODES.c.used).where(its)).first()
    if found is None:
        return None
    if found.used is not None:
        return False
    connection.execute(update(BACKUP_CODES).where(its).values(used=at))
    _update(connection, key_id, failures=0, locked_until=None)
    return True


def _update(connection: Connection, its_key: str, **values: object) -> None:
    connection.execute(update(FACTORS).where(FACTORS.c.key_id == its_key).values(**values))
