"""Whom a call of our own believes, and where it may lead: public roots or a CA of its own, private addresses or not."""

from __future__ import annotations

import os
import ssl
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import certifi

from llmauth.regular import read_regular
from llmauth.secrets import Secret
from llmauth.sources import SourceFailed


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """How a place is reached, and by which certificate it is known.

    `ca_file` and `ca_data` (PEM) are believed beside the public roots, or in their place where `roots` is false.
    `private` lets a name lead to a private or loopback address. `plain` allows `http://`: for the metadata services of
    the clouds, whose fixed link-local addresses know nothing else, and for this machine itself. `certificate` and `key`
    (PEM) are what we show in a handshake, where a server asks who we are.
    """

    ca_file: Path | None = None
    ca_data: str | None = None
    roots: bool = True
    private: bool = False
    plain: bool = False
    certificate: str | None = None
    key: Secret | None = field(default=None, repr=False)

    def context(self) -> ssl.SSLContext:
        """The TLS side of it. SourceFailed, with the file, for a CA or a certificate that cannot be used."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.roots:
            context.load_verify_locations(certifi.where())
        if self.ca_file is not None:
            _believe(context, f"the CA file {self.ca_file}", cafile=self.ca_file)
        if self.ca_data is not None:
            _believe(context, "the CA that is configured", cadata=self.ca_data)
        if self.certificate is not None and self.key is not None:
            _show(context, self.certificate, self.key)
        return context


PUBLIC = Trust()
METADATA = Trust(private=True, plain=True)
"""The metadata service of the machine: clear text, to an address that never leaves it."""


def _believe(context: ssl.SSLContext, what: str, **where: Any) -> None:
    try:
        if "cafile" in where:
            read_regular(where["cafile"])  # OpenSSL would wait for the writer of a pipe
        context.load_verify_locations(**where)
    except FileNotFoundError:
        raise SourceFailed(f"{what} does not exist") from None
    except (OSError, ValueError) as error:
        raise SourceFailed(f"{what} cannot be used: {type(error).__name__}; wanted are certificates in PEM") from None


def _show(context: ssl.SSLContext, certificate: str, key: Secret) -> None:
    # OpenSSL by way of Python reads these from a file alone: where the system has them, from one that is on no disk.
    with _unseen() as file:
        file.write(f"{certificate.rstrip()}\n{key.reveal()}".encode())
        file.flush()
        try:
            # A key with a passphrase would ask for it on the terminal.
            named = file.name if isinstance(file.name, str) else f"/proc/self/fd/{file.fileno()}"
            context.load_cert_chain(named, password=b"")
        except (OSError, ValueError) as error:
            raise SourceFailed(f"the client certificate and its key cannot be used: {type(error).__name__}") from None


def _unseen() -> Any:
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("certificate", os.MFD_CLOEXEC), "wb")
    return tempfile.NamedTemporaryFile(suffix=".pem")
