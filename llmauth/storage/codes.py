"""The codes of second factors: TOTP (RFC 6238) and backup codes, and for how long wrong ones lock, wherever kept."""

from __future__ import annotations

import base64
import hmac
import math
import re
import secrets
from dataclasses import dataclass
from typing import Literal

import pyotp

from llmauth.secrets import Secret
from llmauth.storage.records import KeyRecord

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


def new_enrolment(record: KeyRecord) -> Enrolment:
    """A new seed and new backup codes for a key."""
    seed = base64.b32encode(secrets.token_bytes(_SEED_LENGTH)).decode("ascii")
    return Enrolment(
        record=record,
        secret=Secret(seed),
        provisioning_uri=Secret(pyotp.TOTP(seed).provisioning_uri(name=record.name, issuer_name=_ISSUER)),
        backup_codes=tuple(Secret(_backup_code()) for _ in range(BACKUP_CODES_EACH)),
    )


def is_code(text: str) -> bool:
    """Whether it has the form of what an authenticator app shows."""
    return _CODE.fullmatch(text) is not None


def is_backup_code(text: str) -> bool:
    """Whether it has the form of a backup code."""
    return _BACKUP_CODE.fullmatch(text) is not None


def steps(seed: str, code: str, at: float) -> list[int]:
    """The steps around this moment whose code it is; each is compared, whichever was found."""
    now, totp = int(at // STEP_SECONDS), pyotp.TOTP(seed)
    around = [step for step in (now - 1, now, now + 1) if step >= 0]
    matched = [hmac.compare_digest(totp.generate_otp(step), code) for step in around]
    return [step for step, same in zip(around, matched, strict=True) if same]


def hashed(seed: str, code: str) -> str:
    """What is kept of a backup code."""
    # Keyed by the seed, which is sealed: 40 bits alone could be tried out. Copied to another key the hash is nobody's.
    return hmac.digest(seed.encode("ascii"), b"llmauth backup code\0" + code.encode("ascii"), "sha256").hex()


def locked_until(failures: int, at: float) -> float | None:
    """When a factor is looked at again after so many failures in a row; None where it is at once."""
    if failures < FREE_FAILURES:
        return None
    doublings = min(failures - FREE_FAILURES, 16)  # further on the number alone would become too large
    return at + min(math.ldexp(FIRST_LOCK, doublings), LONGEST_LOCK)


def _backup_code() -> str:
    signs = "".join(secrets.choice(_ALPHABET) for _ in range(8))
    return f"{signs[:4]}-{signs[4:]}"
