"""The text of keys and sessions, `llmauth_<id>_<secret>`: made, checked for typing errors, hashed and compared."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import zlib
from typing import Final

import bcrypt

from llmauth.secrets import MASK, Secret

PREFIX: Final = "llmauth_"
LONGEST: Final = 72
ALGORITHM: Final = "bcrypt-sha256"

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_LENGTH = 10
# A session has a longer id, and is told by that; everything else that holds for keys holds for it too.
_SESSION_ID_LENGTH = 12
_RANDOM_LENGTH = 32  # 190 bits
_CHECKSUM_LENGTH = 6
_SHOWN = 100
_FORM = re.compile(r"llmauth_([0-9A-Za-z]{10}(?:[0-9A-Za-z]{2})?)_[0-9A-Za-z]{32,47}[0-9A-Za-z]{6}")
# A key that stands in the wrong place may be escaped there, once or twice, or lack its beginning.
_HIDDEN = re.compile(r"llmauth%(?:25)*5f|[0-9A-Za-z]{10}(?:_|%(?:25)*5f)[0-9A-Za-z]{32}", re.IGNORECASE)
_SESSION = re.compile(r"llmauth_[0-9A-Za-z]{12}_")

# As AWS writes them: a prefix of four letters, and sixteen signs of base32.
_PAIR_PREFIX = "LLMA"
_PAIR_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_PAIR_FORM = re.compile(r"LLMA[A-Z2-7]{16}")
_PAIR_SECRET_LENGTH = 40  # 238 bits; the signs of AWS's without `/` and `+`, which shells and files would misread

# The secrets are random and cannot be guessed, so a slow hash would protect nothing and would only make a restart with
# many waiting callers long.
_COST = 5


def new_key() -> tuple[str, Secret]:
    """A new public id, and the full text of the key."""
    return _new(_ID_LENGTH)


def new_session() -> tuple[str, Secret]:
    """A new public id, and the full text of the session."""
    return _new(_SESSION_ID_LENGTH)


def new_pair() -> tuple[str, Secret]:
    """A new access key id, and the secret beside it, in the form of AWS's."""
    key_id = _PAIR_PREFIX + "".join(secrets.choice(_PAIR_ALPHABET) for _ in range(16))
    return key_id, Secret(_random(_PAIR_SECRET_LENGTH))


def is_session(text: str) -> bool:
    """Whether the text is a session's by its beginning, right or mistyped, and no key's."""
    return _SESSION.match(text) is not None


def is_pair_id(text: str) -> bool:
    """Whether the text is an access key id of ours by its form."""
    return _PAIR_FORM.fullmatch(text) is not None


def key_id_of(text: str) -> str | None:
    """The public id in a key or session, `None` when the text has not the form of one or its checksum is wrong."""
    match = _FORM.fullmatch(text) if len(text) <= LONGEST else None
    if match is None or _checksum(text[:-_CHECKSUM_LENGTH]) != text[-_CHECKSUM_LENGTH:]:
        return None
    return match[1]


def shown(text: str) -> str:
    """What a client wrote as a refusal repeats it, and the log with it: short, and without a key that was put there."""
    return MASK if may_hold_key(text) else text[:_SHOWN]


def may_hold_key(text: str) -> bool:
    """Whether a text that others wrote has something in it that looks like a key of ours, as it stands or escaped."""
    return PREFIX in text or (len(text) > _RANDOM_LENGTH and _HIDDEN.search(text) is not None)


def hash_key(key: Secret) -> str:
    """What is stored of a key."""
    return bcrypt.hashpw(_digest(key.reveal()), bcrypt.gensalt(_COST)).decode("ascii")


def matches(text: str, algorithm: str, hashed: str) -> bool:
    """Whether `text` is the key that `hashed` was made of; two milliseconds, in constant time, without the GIL."""
    if algorithm != ALGORITHM:
        return False
    try:
        return bcrypt.checkpw(_digest(text), hashed.encode("ascii"))
    except ValueError:  # the stored hash is no bcrypt hash
        return False


def _digest(text: str) -> bytes:
    # bcrypt reads 72 bytes and may stop at a NUL, so it is only ever given this: 44 bytes of base64.
    return base64.b64encode(hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest())


def _new(id_length: int) -> tuple[str, Secret]:
    key_id = _random(id_length)
    text = f"{PREFIX}{key_id}_{_random(_RANDOM_LENGTH)}"
    return key_id, Secret(text + _checksum(text))


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _checksum(text: str) -> str:
    rest, digits = zlib.crc32(text.encode("ascii")), ""
    for _ in range(_CHECKSUM_LENGTH):
        rest, digit = divmod(rest, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits
