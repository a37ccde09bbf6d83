"""The certificates that this user's programs trust already: public roots, the system's, and what the user has named."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import certifi

_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----\s*([A-Za-z0-9+/=\s]+?)\s*-----END CERTIFICATE-----")
_LARGEST = 16 * 1024 * 1024

# Where systems keep the roots that programs without settings believe; the first that is there counts. A company's own
# root stands among them, and a variable that names another file would take it away.
_OF_THE_SYSTEM = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine, Arch
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # Fedora, RHEL
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/usr/local/share/certs/ca-root-nss.crt",  # FreeBSD
    "/etc/ssl/cert.pem",  # macOS
)
# Settings in files of the home folder that a variable of ours would overrule.
_IN_FILES = (
    (".gitconfig", "sslcainfo"),
    (".aws/config", "ca_bundle"),
    (".config/pip/pip.conf", "cert"),
    (".pip/pip.conf", "cert"),
    (".npmrc", "cafile"),
    (".curlrc", "cacert"),
    (".wgetrc", "ca_certificate"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Roots:
    """Certificates in PEM, each once. `unread` are files that the user has named and nobody could read."""

    blocks: tuple[str, ...]
    unread: tuple[Path, ...] = ()


def blocks_of(text: str) -> list[str]:
    """The certificates of a PEM text, each written alike, so that equal ones are equal."""
    return [_block("".join(found.split())) for found in _BLOCK.findall(text)]


def trusted_already(environ: Mapping[str, str], variables: Iterable[str]) -> Roots:
    """Public roots, those of the system, and those that these variables and the user's files name."""
    blocks = dict.fromkeys(blocks_of(certifi.contents()))
    for system in _OF_THE_SYSTEM:
        if Path(system).is_file():
            blocks |= dict.fromkeys(blocks_of(_text(Path(system)) or ""))
            break
    named = named_by(environ, variables)
    return Roots(blocks=tuple(blocks | dict.fromkeys(named.blocks)), unread=named.unread)


def named_by(environ: Mapping[str, str], variables: Iterable[str]) -> Roots:
    """Those alone that the user has named, in variables or in files."""
    blocks: dict[str, None] = {}
    unread: list[Path] = []
    for path in dict.fromkeys((*_in_variables(environ, variables), *_in_files(environ))):
        found = _certificates(path)
        if not found:
            unread.append(path)
        blocks |= dict.fromkeys(found)
    return Roots(blocks=tuple(blocks), unread=tuple(unread))


def _in_variables(environ: Mapping[str, str], variables: Iterable[str]) -> Iterator[Path]:
    for name in variables:
        value = environ.get(name, "")
        # Of SSL_CERT_DIR, OpenSSL takes a list; no other of them has a colon in it by accident.
        parts = value.split(":") if name.endswith("_DIR") else [value]
        yield from (Path(part).expanduser().absolute() for part in parts if part)


def _in_files(environ: Mapping[str, str]) -> Iterator[Path]:
    home = environ.get("HOME")
    for name, word in _IN_FILES if home else ():
        text = _text(Path(home or "") / name) or ""
        for value in re.findall(rf"(?im)^\s*{word}\s*[=\s]\s*\"?([^\"\s#;]+)", text):
            path = Path(value.replace("~", home or "~", 1) if value.startswith("~") else value)
            if path.is_file():
                yield path


def _certificates(path: Path) -> list[str]:
    if not path.is_dir():
        return blocks_of(_text(path) or "")
    files = sorted(path.iterdir()) if path.is_dir() else []
    return [block for file in files if file.is_file() for block in blocks_of(_text(file) or "")]


def _text(path: Path) -> str | None:
    with suppress(OSError, ValueError):
        if path.stat().st_size <= _LARGEST:
            return path.read_text(encoding="utf-8", errors="replace")
    return None


def _block(encoded: str) -> str:
    lines = [encoded[at : at + 64] for at in range(0, len(encoded), 64)]
    return "\n".join(("-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""))
