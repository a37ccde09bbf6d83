"""Second factors of keys: TOTP (RFC 6238) with each step used once, backup codes, and a lock after wrong ones."""

from __future__ import annotations

import base64
import hmac
import math
import re
import secrets
from dataclasses import dataclass
from typing import Literal

import pyotp
from sqlalchemy import Connection, Row, delete, func, insert, select, update

from llmauth.secrets import Secret
from llmauth.storage.records import KeyRecord
from llmauth.storage.sealing import HEAD_LENGTH, SealingKey
from llmauth.storage.tables import BACKUP_CODES, FACTORS, KEYS

STEP_SECONDS = 30
FREE_FAILURES = 5
FIRST_LOCK, LONGEST_LOCK = 30.0, 3600.0
BACKUP_CODES_EACH = 10

_SEED_LENGTH = 20  # RFC 4226: "This document RECOMMENDs a shared secret length of 160 bits."
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # without those that look alike: i, l, o, 0, 1
_CODE = re.compile(r"[0-9]{6}")
_BACKUP_CODE = re.compile(rf"[{_ALPHABET}]{{4}}-[{_ALPHABET}]{{4}}")
_ISSUER = "llmauth"


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """What an authenticator app is given for a key, and the codes for the day it is lost; told once."""

    record: KeyRecord
    secret: Secret
    provisioning_uri: Secret
    backup_codes: tuple[Secret, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorResult:
    """What became of a code: used up, wrong, not looked at for so many `seconds`, or "none" where none is enrolled."""

    outcome: Literal["accepted", "wrong", "locked", "none"]
    seconds: float = 0.0


def enrol(connection: Connection, sealing: SealingKey, record: KeyRecord) -> Enrolment:
    """A new seed and new backup codes, in the place of all there were."""
    key_id = record.id
    forget(connection, key_id)
    seed = base64.b32encode(secrets.token_bytes(_SEED_LENGTH)).decode("ascii")
    codes = [_backup_code() for _ in range(BACKUP_CODES_EACH)]
    sealed = sealing.seal(Secret(seed), FACTORS.name, key_id)
    connection.execute(insert(FACTORS).values(key_id=key_id, seed=sealed, last_step=0, failures=0))
    connection.execute(insert(BACKUP_CODES), [{"key_id": key_id, "hash": _hash(seed, code)} for code in codes])
    return Enrolment(
        record=record,
        secret=Secret(seed),
        provisioning_uri=Secret(pyotp.TOTP(seed).provisioning_uri(name=record.name, issuer_name=_ISSUER)),
        backup_codes=tuple(Secret(code) for code in codes),
    )


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
        _update(connection, key_id, failures=failures, locked_until=_lock(failures, at))
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
    if _CODE.fullmatch(code):
        steps = _steps(seed, code, at)
        fresh = [step for step in steps if step > row.last_step]
        if fresh:
            _update(connection, row.key_id, last_step=fresh[0], failures=0, locked_until=None)
        return bool(fresh) if steps else None
    if _BACKUP_CODE.fullmatch(code):
        return _use_backup(connection, row.key_id, _hash(seed, code), at)
    return None


def _steps(seed: str, code: str, at: float) -> list[int]:
    """The steps around this moment whose code it is; each is compared, whichever was found."""
    now, totp = int(at // STEP_SECONDS), pyotp.TOTP(seed)
    around = [step for step in (now - 1, now, now + 1) if step >= 0]
    matched = [hmac.compare_digest(totp.generate_otp(step), code) for step in around]
    return [step for step, same in zip(around, matched, strict=True) if same]


def _use_backup(connection: Connection, key_id: str, hashed: str, at: float) -> bool | None:
    its = (BACKUP_CODES.c.key_id == key_id) & (BACKUP_CODES.c.hash == hashed)
    found = connection.execute(select(BACKUP_CODES.c.used).where(its)).first()
    if found is None:
        return None
    if found.used is not None:
        return False
    connection.execute(update(BACKUP_CODES).where(its).values(used=at))
    _update(connection, key_id, failures=0, locked_until=None)
    return True


def _lock(failures: int, at: float) -> float | None:
    if failures < FREE_FAILURES:
        return None
    doublings = min(failures - FREE_FAILURES, 16)  # further on the number alone would become too large
    return at + min(math.ldexp(FIRST_LOCK, doublings), LONGEST_LOCK)


def _update(connection: Connection, its_key: str, **values: object) -> None:
    connection.execute(update(FACTORS).where(FACTORS.c.key_id == its_key).values(**values))


def _backup_code() -> str:
    signs = "".join(secrets.choice(_ALPHABET) for _ in range(8))
    return f"{signs[:4]}-{signs[4:]}"


def _hash(seed: str, code: str) -> str:
    # Keyed by the seed, which is sealed: 40 bits alone could be tried out. Copied to another key the hash is nobody's.
    return hmac.digest(seed.encode("ascii"), b"llmauth backup code\0" + code.encode("ascii"), "sha256").hex()
