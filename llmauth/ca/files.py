"""The CA's files: made once whoever comes first, kept private, read with care, replaced without a gap."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from secrets import token_hex

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from llmauth.ca.errors import CaError
from llmauth.durable import sync_folder

logger = logging.getLogger(__name__)

# One file holds key and certificate, so that there is never one without the other; the second is for distribution.
KEY_FILE = "ca-key.pem"
CERTIFICATE_FILE = "ca.pem"
_LONGEST = 1024 * 1024


def create(folder: Path, content: bytes) -> None:
    """Keep a new authority in `folder`, unless somebody else has just kept theirs. Raises CaError and OSError."""
    path = folder / KEY_FILE
    _require_private_folder(folder)
    with _temporary(path, content) as new:
        try:
            # link(2) fails where the name is taken: whoever is second throws its own away and reads the first one's.
            os.link(new, path)
        except FileExistsError:
            return
        sync_folder(folder)
    logger.info("Certificate authority created", extra={"file": str(path)})


def replace(folder: Path, content: bytes, moment: datetime) -> None:
    """Put a new authority in place of the old one, which stays beside it. Raises CaError and OSError."""
    path = folder / KEY_FILE
    _require_private_folder(folder)
    with _temporary(path, content) as new:
        for name in (KEY_FILE, CERTIFICATE_FILE) if path.exists() else ():
            kept = folder / f"{Path(name).stem}.{moment:%Y%m%dT%H%M%SZ}.pem"
            if (folder / name).exists() and not kept.exists():
                os.link(folder / name, kept)
        os.replace(new, path)
        sync_folder(folder)


def read(folder: Path) -> tuple[tuple[x509.Certificate, ...], ec.EllipticCurvePrivateKey]:
    """The authority in `folder`: its certificates, that of its key first and the root last, and the key.

    One that was made before there was a root of its own has a single certificate, which is both. Raises CaError where
    others can read it or it is none, and OSError.
    """
    path = folder / KEY_FILE
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe in its place has no writer to wait for
    with open(descriptor, "rb") as file:
        _require_private(path, os.fstat(descriptor))
        content = file.read(_LONGEST)
    try:
        key = serialization.load_pem_private_key(content, password=None)
        chain = tuple(x509.load_pem_x509_certificates(content))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise CaError(f"{path} does not hold a key and its certificate as PEM, without a password.") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or chain[0].public_key() != key.public_key():
        raise CaError(f"{path} does not hold an elliptic curve key with the certificate of that key.")
    _require_chain(path, chain)
    return chain, key


def _require_chain(path: Path, chain: Sequence[x509.Certificate]) -> None:
    for below, above in pairwise(chain):
        try:
            below.verify_directly_issued_by(above)
        except (ValueError, TypeError, InvalidSignature):
            raise CaError(f"{path} holds certificates of which none signed the one before it.") from None


def publish(folder: Path, pem: str) -> None:
    """Keep the certificate alone in a file of its own, where the folder can be written to."""
    path = folder / CERTIFICATE_FILE
    try:
        if not path.exists() or path.read_text() != pem:
            # For whoever has the folder mounted, and so whatever the umask: `llmauth serve` has a narrow one.
            with _temporary(path, pem.encode(), 0o644) as new:
                os.replace(new, path)
    except OSError:
        logger.debug("The certificate is not kept in a file of its own", extra={"folder": str(folder)})


@contextmanager
def _temporary(path: Path, content: bytes, mode: int = 0o600) -> Iterator[Path]:
    """A file beside `path` that is whole and on the disk; whatever happens, no key stays behind under its name."""
    new = path.with_name(f".{path.name}.{token_hex(8)}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        yield new
    finally:
        new.unlink(missing_ok=True)


def _require_private_folder(folder: Path) -> None:
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)
    found = folder.stat()
    if found.st_uid == os.getuid() and stat.S_IMODE(found.st_mode) & 0o077:
        raise CaError(f"The folder {folder} is open to other users. Close it: chmod 700 '{folder}'")


def _require_private(path: Path, found: os.stat_result) -> None:
    # A Kubernetes secret belongs to root and is readable by the pod's group (fsGroup): that is as narrow as it gets.
    allowed = 0o700 if found.st_uid == os.getuid() else 0o740
    if stat.S_IMODE(found.st_mode) & 0o777 & ~allowed:
        raise CaError(f"The key of the certificate authority is open to other users. Close it: chmod 600 '{path}'")
