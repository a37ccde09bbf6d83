"""The proxy that this user has joined: its address, its public CA, and where the session at it is kept."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from secrets import token_hex
from typing import Any, Literal

from llmauth.config.environment import default_file
from llmauth.credentials.entries import SERVICE, KeyringRefused, forget, keep
from llmauth.credentials.entries import read as entry
from llmauth.secrets import Secret
from llmauth.storage.home import StateUnusable, require_private, state_folder

PROFILE, CA_FILE, SESSION_FILE = "joined.json", "joined-ca.pem", "joined-session"
"""In the folder for configuration; only the last one holds a secret, and only where there is no keyring."""

Kept = Literal["keyring", "file"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """A proxy that was joined.

    `url` is its address without a user; `ca_pem` the public certificate that its tunnels are signed by, `fingerprint`
    that certificate's SHA-256 as a person has confirmed it. `tls_ca_file` is the CA of its own TLS port, where that is
    not a public one; `tls_by_proxy` says that it is the one in `ca_pem`. `expires_at` is the end of the session, in
    Unix time; `kept` is where the session stands.
    """

    url: str
    ca_pem: str
    fingerprint: str
    user: str
    expires_at: float | None = None
    kept: Kept = "keyring"
    tls_ca_file: Path | None = None
    tls_by_proxy: bool = False

    @property
    def authority(self) -> str:
        """Its host and port."""
        return self.url.partition("://")[2]


def folder(environ: Mapping[str, str]) -> Path:
    """Where the profile is kept; StateUnusable for a user without a home folder."""
    file = default_file(environ)
    if file is None:
        raise StateUnusable("This user has no home folder, so no proxy can be joined. Set HOME.")
    return file.parent


def read(environ: Mapping[str, str]) -> Joined | None:
    """The proxy that was joined, None for none. StateUnusable for a profile that is damaged, with what to do."""
    place = folder(environ)
    try:
        written = json.loads((place / PROFILE).read_text(encoding="utf-8"))
        pem = (place / CA_FILE).read_text(encoding="ascii")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _damaged(place, type(error).__name__) from None
    return _joined(place, written, pem)


def ca_file(environ: Mapping[str, str]) -> Path:
    """The file with its public CA, for variables that name one."""
    return folder(environ) / CA_FILE


def trusted(joined: Joined, environ: Mapping[str, str]) -> Path | None:
    """The CA that its own TLS certificate is checked by, beside the public roots; None for those alone."""
    return ca_file(environ) if joined.tls_by_proxy else joined.tls_ca_file


def session(joined: Joined, environ: Mapping[str, str]) -> Secret | None:
    """The session at it, None where it is not there any more. KeyringRefused, or StateUnsafe for an open file."""
    if joined.kept == "keyring":
        return entry(_entry(joined))
    path = folder(environ) / SESSION_FILE
    try:
        require_private(path)
        text = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None
    return Secret(text) if text else None


def write(joined: Joined, token: Secret, environ: Mapping[str, str]) -> Joined:
    """Keep profile, CA and session, the last one in the keyring, else in a file of mode 0600; what was kept."""
    place = folder(environ)
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    forget_joined(environ)
    try:
        keep(state_folder(environ), _entry(joined), token)
        joined = replace(joined, kept="keyring")
    except KeyringRefused:
        joined = replace(joined, kept="file")
        _put(place / SESSION_FILE, token.reveal() + "\n")
    _put(place / CA_FILE, joined.ca_pem)
    facts = {name: value for name, value in asdict(joined).items() if name != "ca_pem"}
    _put(place / PROFILE, json.dumps({**facts, "tls_ca_file": _text(joined.tls_ca_file)}, indent=2) + "\n")
    return joined


def forget_joined(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Take profile, CA and session away; what was taken away, in words."""
    place, gone = folder(environ), []
    try:
        before = read(environ)
    except StateUnusable:
        before = None
    if before is not None and before.kept == "keyring":
        try:
            if forget(state_folder(environ), _entry(before)):
                gone.append(f"keyring entry {'/'.join(_entry(before))}")
        except KeyringRefused as refusal:
            gone.append(f"not the keyring entry {'/'.join(_entry(before))}: {refusal}")
    for name in (PROFILE, CA_FILE, SESSION_FILE):
        try:
            (place / name).unlink()
            gone.append(str(place / name))
        except FileNotFoundError:
            continue
    return tuple(gone)


def _entry(joined: Joined) -> tuple[str, str]:
    return SERVICE, f"session@{joined.authority}"


def _joined(place: Path, written: Any, pem: str) -> Joined:
    try:
        return Joined(
            url=str(written["url"]),
            ca_pem=pem,
            fingerprint=str(written["fingerprint"]),
            user=str(written["user"]),
            expires_at=None if written["expires_at"] is None else float(written["expires_at"]),
            kept="file" if written["kept"] == "file" else "keyring",
            tls_ca_file=None if written["tls_ca_file"] is None else Path(str(written["tls_ca_file"])),
            tls_by_proxy=written["tls_by_proxy"] is True,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(place, type(error).__name__) from None


def _damaged(place: Path, why: str) -> StateUnusable:
    return StateUnusable(f"{place / PROFILE} cannot be used: {why}. Join the proxy again, or run: llmauth leave")


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path.absolute())


def _put(path: Path, content: str) -> None:
    """Whole or not at all, and never readable by others in between."""
    new = path.with_name(f".{path.name}.{token_hex(8)}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
        os.replace(new, path)
    finally:
        new.unlink(missing_ok=True)
