"""People's passwords as bcrypt keeps them: an htpasswd file, or a list in a variable, to a name and a hash each."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import bcrypt

VARIABLE: Final = "BASIC_AUTH_CREDENTIALS"
# "bcrypt only uses the first 72 bytes" of a password, so that two long ones may be one, and C's ends at a NUL.
LONGEST_RAW: Final = 72
LONGEST: Final = 1024
WEAK_COST: Final = 10

_COST = 12
# Two seconds of a processor and more for each guess would be a way to keep everybody out.
_HIGHEST_COST = 15
_HASH = re.compile(r"\$2[aby]\$([0-9]{2})\$[./0-9A-Za-z]{53}", re.ASCII)
NAME: Final = re.compile(r"\w[\w.@/+-]{0,99}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One user and the hash of the password. `digested` says that it is of a digest, which takes any password.

    `version` is a public name of a hash that a file keeps, by which a password that was changed is told from before.
    """

    user: str
    hashed: str = field(repr=False)
    digested: bool
    version: str | None = None

    def takes(self, password: str) -> bool:
        """Whether bcrypt can tell this password from every other one."""
        raw = password.encode("utf-8", "surrogateescape")
        return len(raw) <= LONGEST if self.digested else len(raw) <= LONGEST_RAW and b"\0" not in raw

    def matches(self, password: str) -> bool:
        """Compare; a quarter of a second at a cost of 12, in constant time, without the GIL."""
        raw = password.encode("utf-8", "surrogateescape")
        return bcrypt.checkpw(_digest(raw) if self.digested else raw, self.hashed.encode("ascii"))


def from_file(content: bytes, name: str) -> dict[str, Entry]:
    """The entries of an htpasswd file. ValueError names the line that cannot be used, and nothing that stands in it."""
    try:
        lines = content.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"{name} is not UTF-8 text") from None
    found: dict[str, Entry] = {}
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith("#"):
            entry = _of_line(line, f"{name}, line {number}")
            if entry.user in found:
                raise ValueError(f"{name}, line {number}: this user has a line already")
            found[entry.user] = entry
    if not found:
        raise ValueError(f"{name} names no user")
    return found


def weakest_cost(entries: Iterable[Entry]) -> int:
    """The lowest cost of these hashes."""
    return min(int(entry.hashed[4:6]) for entry in entries)


def from_variable(text: str) -> dict[str, str]:
    """Users and passwords of `user:password,…`; ValueError names the place of what cannot be used, never the value."""
    found: dict[str, str] = {}
    for number, pair in enumerate(text.split(","), 1):
        user, colon, password = pair.strip(" \t\r\n").partition(":")
        where = f"{VARIABLE}, entry {number}"
        if not colon or not password:
            raise ValueError(f"{where}: wanted user:password, and a comma between two; a password holds no comma")
        if not NAME.fullmatch(user):
            raise ValueError(f"{where}: {_NAME_RULE}")
        if user in found:
            raise ValueError(f"{where}: this user has an entry already")
        if len(password.encode("utf-8", "surrogateescape")) > LONGEST:
            raise ValueError(f"{where}: the password has more than {LONGEST} bytes")
        found[user] = password
    return found


def hashing(passwords: Mapping[str, str], pool: ThreadPoolExecutor) -> dict[str, Future[Entry]]:
    """Have each password hashed in a thread; what is kept of it is the hash alone."""
    return {user: pool.submit(_hashed, user, password) for user, password in passwords.items()}


def _hashed(user: str, password: str) -> Entry:
    raw = _digest(password.encode("utf-8", "surrogateescape"))
    return Entry(user=user, hashed=bcrypt.hashpw(raw, bcrypt.gensalt(_COST)).decode("ascii"), digested=True)


def _of_line(line: str, where: str) -> Entry:
    user, _, hashed = line.strip(" \t").partition(":")
    match = _HASH.fullmatch(hashed)
    if not NAME.fullmatch(user):
        raise ValueError(f"{where}: {_NAME_RULE}")
    if match is None:
        raise ValueError(f"{where}: not a bcrypt hash; make the line with `htpasswd -B -C 12`")
    if not 4 <= int(match[1]) <= _HIGHEST_COST:
        raise ValueError(f"{where}: a bcrypt cost of {match[1]}; wanted 4 to {_HIGHEST_COST}, best 12")
    version = hashlib.sha256(line.encode("utf-8")).hexdigest()[:16]
    return Entry(user=user, hashed=hashed, digested=False, version=version)


def _digest(raw: bytes) -> bytes:
    # bcrypt reads 72 bytes and may stop at a NUL, so it is only ever given this: 44 bytes of base64.
    return base64.b64encode(hashlib.sha256(raw).digest())


_NAME_RULE = "a user's name has 1 to 100 letters, digits and . _ @ / + -, with a letter or digit first"
