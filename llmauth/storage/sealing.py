"""Encrypts what must be readable again: seeds of second factors, and the secrets of access-key pairs."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import shlex
import stat
from collections.abc import Collection
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from llmauth.secrets import Secret
from llmauth.storage.home import StateUnsafe, StateUnusable, prepare
from llmauth.storage.private_key import LENGTH, PrivateKeyFile

OWN = PrivateKeyFile(
    name="sealing.key",
    purpose="sealing key",
    danger="who could open the secrets that it seals",
    remedy="Put the right one back from a backup. If it is lost, take the file away and revoke the pairs and the keys "
    "that have a second factor: after that a new one is made.",
)
_NAME_ONE = "Name its file by LLMAUTH_SEALING_KEY_FILE, or `storage: {sealing_key_file: …}`."
_FORM = "v1"
_NONCE_LENGTH = 12  # NIST SP 800-38D: 96 bits are what GCM is made for
_FINGERPRINT_LENGTH = 8
HEAD_LENGTH = len(_FORM) + 1 + _FINGERPRINT_LENGTH
"""How many characters of a sealed text say which key it was sealed with."""
_LONGEST_FILE = 256


class SealingKey:
    """AES-256-GCM under one key, which is read when it is first needed.

    A `mounted` file is only ever read. The one in the folder `home` is made when first needed, as long as nothing was
    sealed before. Without both there is none.
    """

    def __init__(self, home: Path | None, mounted: Path | None = None) -> None:
        self._home = home
        self._mounted = mounted
        self._cipher: AESGCM | None = None
        self._head = ""

    def require(self, heads: Collection[str]) -> None:
        """See to it that a key is there, and the same that sealed what exists, by the heads of the sealed texts.

        StateUnusable, with what to do, when it is missing, or another one; StateUnsafe when others can read it.
        """
        if self._mounted is None and self._home is not None and not heads:
            OWN.load_or_create(prepare(self._home))
        self._load()
        if any(head != self._head for head in heads):
            raise StateUnusable(self._differs())

    def seal(self, secret: Secret, table: str, record: str) -> str:
        """The secret encrypted for one record of one table: moved to another, it does not open."""
        cipher, nonce = self._load(), os.urandom(_NONCE_LENGTH)
        sealed = cipher.encrypt(nonce, secret.reveal().encode("utf-8"), _bound_to(table, record))
        return f"{self._head}:{base64.b64encode(nonce + sealed).decode('ascii')}"

    def open(self, sealed: str, table: str, record: str) -> Secret:
        """What was sealed for a record; StateUnusable when the key is missing or another, or the text was changed."""
        cipher = self._load()
        head, _, body = sealed.rpartition(":")
        if head != self._head:
            raise StateUnusable(self._differs())
        try:
            raw = base64.b64decode(body, validate=True)
            plain = cipher.decrypt(raw[:_NONCE_LENGTH], raw[_NONCE_LENGTH:], _bound_to(table, record))
        except (binascii.Error, ValueError, InvalidTag):
            raise StateUnusable(
                f"A sealed secret in the table '{table}' (record {record}) was changed, or belongs to another record. "
                "Revoke that key, and make a new one."
            ) from None
        return Secret(plain.decode("utf-8"))

    def _load(self) -> AESGCM:
        if self._cipher is None:
            key = self._key()
            # The key itself must not be told by what is written beside every secret.
            told = hashlib.sha256(b"llmauth sealing key\0" + key).hexdigest()[:_FINGERPRINT_LENGTH]
            self._head, self._cipher = f"{_FORM}:{told}", AESGCM(key)
        return self._cipher

    def _key(self) -> bytes:
        if self._mounted is not None:
            return _read(self._mounted)
        if self._home is None:
            raise StateUnusable(f"There is no sealing key, which second factors and access-key pairs need. {_NAME_ONE}")
        key = OWN.load(self._home)
        if key is None:
            raise StateUnusable(_missing(self._home / OWN.name))
        return bytes.fromhex(key.reveal())

    def _differs(self) -> str:
        place = self._mounted or (None if self._home is None else self._home / OWN.name)
        return (
            f"The database holds secrets that were sealed with another key than that of {place}. All who share a "
            f"database need the same sealing key. {_NAME_ONE} If the other one is lost, revoke what it sealed."
        )


def _read(path: Path) -> bytes:
    """The key in a file that somebody mounted."""
    try:
        with path.open("rb") as file:
            mode, content = _too_wide(os.fstat(file.fileno())), file.read(_LONGEST_FILE)
    except FileNotFoundError:
        raise StateUnusable(_missing(path)) from None
    except OSError as error:
        raise StateUnusable(f"The sealing key {path} cannot be read: {error.strerror}.") from None
    if mode is not None:
        raise StateUnsafe(
            f"{path} is open to other users (mode {mode:04o}), {OWN.danger}. Close it, if nobody has read it: "
            f"chmod 600 {shlex.quote(str(path))}"
        )
    key = _key_in(content)
    if key is None:
        raise StateUnusable(
            f"{path} holds no sealing key: {LENGTH} bytes as they are, as 64 hexadecimal digits, or in base64. "
            "`openssl rand -hex 32` makes one."
        )
    return key


def _too_wide(found: os.stat_result) -> int | None:
    """The mode of a file, where it lets others in."""
    # A Kubernetes secret belongs to root and is readable by the pod's group (fsGroup): it gets no narrower.
    allowed = 0o700 if found.st_uid == os.getuid() else 0o740
    mode = stat.S_IMODE(found.st_mode)
    return mode if mode & 0o777 & ~allowed else None


def _key_in(content: bytes) -> bytes | None:
    if len(content) == LENGTH:
        return content
    text = content.strip()
    if re.fullmatch(rb"[0-9A-Fa-f]{64}", text):
        return bytes.fromhex(text.decode("ascii"))
    try:
        key = base64.b64decode(text, validate=True)
    except binascii.Error:
        return None
    return key if len(key) == LENGTH else None


def _bound_to(table: str, record: str) -> bytes:
    return f"{table}\0{record}".encode()


def _missing(path: Path) -> str:
    return (
        f"The sealing key {path} is missing, so second factors and access-key pairs cannot be used; keys can. Put it "
        f"back from a backup. {_NAME_ONE} If it is lost, revoke the pairs and the keys that have a second factor: "
        "after that a new one is made."
    )
