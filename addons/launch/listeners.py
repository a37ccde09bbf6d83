"""The ports: the plain one, the TLS one when it has its files, and what they need to be opened with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import certifi
from mitmproxy.certs import CertStoreEntry
from mitmproxy.proxy import mode_specs

from addons.wire.certificates import read_listener
from llmauth.config.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Listeners:
    """What to listen on, in mitmproxy's words. `roots` is a PEM file of trusted roots, `None` for the public ones."""

    modes: Sequence[str]
    tls_mode: mode_specs.ProxyMode | None
    certificate: CertStoreEntry | None
    roots: str | None


def listeners(settings: Settings) -> Listeners:
    """The listeners of a configuration; raises OSError or ValueError, naming the file, for one that cannot be used."""
    server = settings.server
    modes = [f"regular@{server.host}:{server.port}"]
    certificate = tls_mode = None
    if server.tls_cert_file is not None and server.tls_key_file is not None:
        modes.append(f"regular@{server.host}:{server.tls_port}")
        tls_mode = mode_specs.ProxyMode.parse(modes[-1])
        certificate = read_listener(server.tls_cert_file, server.tls_key_file)
    return Listeners(
        modes=modes, tls_mode=tls_mode, certificate=certificate, roots=_roots(settings.upstream.ca_file, settings.home)
    )


def _roots(ca_file: Path | None, state: Path) -> str | None:
    """The public roots with a private CA added. mitmproxy's option would put the file in their place."""
    if ca_file is None:
        return None
    # One file name for one content: OpenSSL contexts are cached by path, and a rotated bundle must be read again.
    added = ca_file.read_bytes()
    merged = state / "upstream-roots.pem"
    merged.write_bytes(Path(certifi.where()).read_bytes() + b"\n" + added)
    return str(merged)
