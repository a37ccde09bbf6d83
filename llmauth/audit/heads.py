"""Signed heads: beside the folder of records, how far each of its files goes, signed, so that no end can be cut off."""

from __future__ import annotations

import hmac
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from llmauth.audit.chain import BEGINNING, Link
from llmauth.secrets import Secret
from llmauth.storage.home import StateUnusable
from llmauth.storage.private_key import PrivateKeyFile

FOLDER = "heads"
KEY = PrivateKeyFile(
    name="audit.key",
    purpose="key of the audit record",
    danger="who could sign a record that was changed",
    remedy="Put the right one back from a copy. Without it nothing recorded so far can be proved; move the folders "
    "audit and heads away with it, and the next start begins a new record.",
)
_FORM = re.compile(rb"(\S+) (\d{20}) (\d{20}) ([0-9a-f]{64}) ([0-9a-f]{64})\n")
_LONGEST = 1024
_TRIES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """How far a file goes, and whether the signature under that is ours."""

    file: str
    link: Link
    genuine: bool


class Signer:
    """Makes and reads heads with one key."""

    def __init__(self, key: Secret) -> None:
        self._key = bytes.fromhex(key.reveal())

    def line(self, file: str, link: Link) -> bytes:
        """The one line of a head; of one length for one file, so that it can be written over in place."""
        said = b"%b %020d %020d %b" % (file.encode(), link.seq, link.length, link.hash.encode())
        return b"%b %b\n" % (said, hmac.digest(self._key, said, "sha256").hex().encode())

    def create(self, path: Path, file: str) -> None:
        """A head that says that nothing was written yet. FileExistsError when there is one."""
        new = path.with_name(f".{path.name}.{token_hex(8)}")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "wb") as opened:
                opened.write(self.line(file, BEGINNING))
                opened.flush()
                os.fsync(descriptor)
            os.link(new, path)
        finally:
            new.unlink(missing_ok=True)

    def read(self, path: Path) -> Head | None:
        """The head in this file; None for what is none. OSError when it cannot be read.

        Its process may be writing it at this moment, so what is not genuine is looked at again.
        """
        found = self._read(path)
        for _ in range(_TRIES):
            if found is not None and found.genuine:
                break
            time.sleep(0.002)
            found = self._read(path)
        return found

    def _read(self, path: Path) -> Head | None:
        match = _FORM.fullmatch(content_of(path))
        if match is None:
            return None
        file, seq, length, digest, signature = match.groups()
        said = match[0][: match.start(5) - 1]
        genuine = hmac.compare_digest(hmac.digest(self._key, said, "sha256").hex().encode(), signature)
        link = Link(seq=int(seq), length=int(length), hash=digest.decode())
        return Head(file=file.decode("utf-8", "replace"), link=link, genuine=genuine)


def signer_for(home: Path) -> Signer:
    """Signs with the key of this state folder, which is made where nothing was signed yet.

    StateUnusable when the key is gone that signed what is there: with another one nothing of it could be proved.
    """
    key = KEY.load(home)
    if key is None and any((home / FOLDER).glob("*.head")):
        # Asked again: another process may have made the key, and then its first head.
        key = KEY.load(home)
        if key is None:
            raise StateUnusable(f"{home / KEY.name} is gone, which signed the record of decisions. {KEY.remedy}")
    return Signer(key or KEY.load_or_create(home))


def content_of(path: Path) -> bytes:
    """The bytes of a small file; nothing is followed, and a pipe keeps nobody waiting."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as opened:
        return opened.read(_LONGEST) or b""


def head_of(home: Path, file: str) -> Path:
    """Where the head of a file of records lies."""
    return home / FOLDER / f"{Path(file).stem}.head"
