"""Entries of ours in the keyring: kept, read and taken away, and their names written down so that all can be found."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from llmauth.credentials.keyring import usable
from llmauth.secrets import Secret
from llmauth.sources import SourceFailed, SourceUnavailable
from llmauth.storage.home import prepare

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

SERVICE = "llmauth"
"""The service under which entries stand unless a configuration names another."""
RECORD = "keyring-entries.json"
"""In the state folder: the names of what we put into the keyring, since no keyring can be asked for a list."""

Entry = tuple[str, str]
"""Service and user name."""

_NAMES = {
    "keyring.backends.SecretService": "Secret Service",
    "keyring.backends.libsecret": "Secret Service",
    "keyring.backends.kwallet": "KWallet",
    "keyring.backends.macOS": "Keychain",
    "keyring.backends.Windows": "Credential Locker",
}


class KeyringRefused(Exception):
    """The keyring is not there, is locked, or does not do as it is told; a sentence that says what to do."""


def store_name() -> str:
    """What the keyring of this machine is called; KeyringRefused where there is none that protects what it keeps."""
    return _called(_backend())


def keep(home: Path, entry: Entry, value: Secret) -> str:
    """Put a value into the keyring, write the entry's name into this state folder; the name of the store.

    KeyringRefused where it is not kept, or does not come back as it was given.
    """
    backend = _backend()
    service, username = entry
    # Its name first: what was written down and is not there does no harm, and the other way round nobody would find it.
    _write(home, {*recorded(home), entry})
    try:
        backend.set_password(service, username, value.reveal())
        same = backend.get_password(service, username) == value.reveal()
    except Exception as error:  # of whatever store this machine has; its text may quote the entry
        raise _refused(backend, error) from None
    if not same:
        raise KeyringRefused(f"{_called(backend)} took the value and does not give it back as it was.")
    return _called(backend)


def read(entry: Entry) -> Secret | None:
    """What stands there, `None` for nothing; KeyringRefused where it cannot be asked."""
    backend = _backend()
    try:
        found = backend.get_password(*entry)
    except Exception as error:
        raise _refused(backend, error) from None
    return Secret(found) if found else None


def forget(home: Path, entry: Entry) -> bool:
    """Take an entry out of the keyring; whether it was there. KeyringRefused where it stays."""
    there = read(entry) is not None
    if there:
        backend = _backend()
        try:
            backend.delete_password(*entry)
        except Exception as error:
            raise _refused(backend, error) from None
    if entry in recorded(home):
        _write(home, set(recorded(home)) - {entry})
    return there


def recorded(home: Path) -> tuple[Entry, ...]:
    """The names of what we put there, by what this state folder says; a record that cannot be read says nothing."""
    try:
        written = json.loads((home / RECORD).read_text(encoding="utf-8"))
        return tuple((str(service), str(username)) for service, username in written)
    except (OSError, ValueError, TypeError):
        return ()


def _write(home: Path, entries: set[Entry]) -> None:
    path = prepare(home) / RECORD
    new = path.with_name(f".{RECORD}.{token_hex(8)}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump(sorted(entries), file)
        os.replace(new, path)
    finally:
        new.unlink(missing_ok=True)
    if not entries:
        with suppress(OSError):
            path.unlink()


def _backend() -> KeyringBackend:
    """The one to write to: of several that are chained the first, which is asked first as well."""
    try:
        return usable()[0]
    except (SourceUnavailable, SourceFailed) as refusal:
        reason = refusal.reason
        raise KeyringRefused(f"{reason[:1].upper()}{reason[1:]}") from None


def _called(backend: KeyringBackend) -> str:
    kind = type(backend)
    return _NAMES.get(kind.__module__, f"{kind.__module__}.{kind.__qualname__}")


def _refused(backend: KeyringBackend, error: Exception) -> KeyringRefused:
    kind = type(error).__name__
    hint = " Unlock it and try again." if kind == "KeyringLocked" else ""
    return KeyringRefused(f"{_called(backend)} refused: {kind}.{hint}")
