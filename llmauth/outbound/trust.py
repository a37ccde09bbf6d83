"""Whom a call of our own believes, and where it may lead: public roots or a CA of its own, private addresses or not."""

from __future__ import annotations

import ssl
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import certifi

from llmauth.secrets import Secret


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
        """The TLS side of it. OSError or ValueError for a file that is none, or a certificate that cannot be used."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.roots:
            context.load_verify_locations(certifi.where())
        if self.ca_file is not None:
            context.load_verify_locations(self.ca_file)
        if self.ca_data is not None:
            context.load_verify_locations(cadata=self.ca_data)
        if self.certificate is not None and self.key is not None:
            _show(context, self.certificate, self.key)
        return context


def _show(context: ssl.SSLContext, certificate: str, key: Secret) -> None:
    # OpenSSL by way of Python reads these from a file alone.
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(f"{certificate.rstrip()}\n{key.reveal()}")
        file.flush()
        context.load_cert_chain(file.name)


PUBLIC = Trust()
METADATA = Trust(private=True, plain=True)
"""The metadata service of the machine: clear text, to an address that never leaves it."""
