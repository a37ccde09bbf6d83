"""The ports: the plain one, the TLS one when it has its files, and what they need to be opened with."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import certifi
from cryptography import x509
from mitmproxy.certs import CertStoreEntry
from mitmproxy.proxy import mode_specs

from addons.wire.certificates import read_listener
from llmauth.addresses import HostPort
from llmauth.config.problems import ConfigError, Place, Problem
from llmauth.config.settings import Settings
from llmauth.regular import read_regular
from llmauth.storage.home import prepare


@dataclass(frozen=True, slots=True, kw_only=True)
class Listeners:
    """What to listen on, in mitmproxy's words, and in those of people (`doors`, URLs).

    `roots` is a PEM file of trusted roots, `None` for the public ones; `http2` whether clients are offered that.
    """

    modes: Sequence[str]
    doors: Sequence[str]
    tls_mode: mode_specs.ProxyMode | None
    certificate: CertStoreEntry | None
    roots: str | None
    http2: bool = True


class ListenFailed(OSError):
    """A port could not be opened; its text is a sentence that says which, why, and what to do."""


def listeners(settings: Settings) -> Listeners:
    """The listeners of a configuration; ConfigError or OSError, naming the file, for one that cannot be used."""
    server = settings.server
    port = server.port or _any_port(server.host)
    modes, doors = [f"regular@{server.host}:{port}"], [f"http://{HostPort(server.host, port)}"]
    certificate = tls_mode = None
    if server.tls_cert_file is not None and server.tls_key_file is not None:
        certificate = _certificate(server.tls_cert_file, server.tls_key_file)
        port = server.tls_port or _any_port(server.host)
        modes.append(f"regular@{server.host}:{port}")
        doors.append(f"https://{HostPort(server.host, port)}")
        tls_mode = mode_specs.ProxyMode.parse(modes[-1])
    roots = _roots(settings.upstream.ca_file, settings.home)
    return Listeners(
        modes=modes, doors=doors, tls_mode=tls_mode, certificate=certificate, roots=roots, http2=server.http2
    )


def renewed(ports: Listeners, settings: Settings) -> Listeners:
    """The same listeners, with certificate and roots as the files hold them now. Raises as `listeners` does."""
    server, certificate = settings.server, None
    if server.tls_cert_file is not None and server.tls_key_file is not None:
        certificate = _certificate(server.tls_cert_file, server.tls_key_file)
    return replace(ports, certificate=certificate, roots=_roots(settings.upstream.ca_file, settings.home))


def _any_port(host: str) -> int:
    """A free port. mitmproxy knows a listener by its port, so two of them cannot both be told to take any."""
    try:
        with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            port: int = probe.getsockname()[1]
            return port
    except OSError as error:
        raise unopened(host, 0, error) from None


def unopened(host: str, port: int, error: OSError, option: str = "server.port") -> ListenFailed:
    """Why a port could not be opened, in a sentence; `option` is the configuration's name for it."""
    place = HostPort(host, port)
    if error.errno == errno.EADDRINUSE:
        sentence = f"Port {port} on {host} is taken by another program. End that one, or set {option} to another port."
    elif error.errno in (errno.EACCES, errno.EPERM):
        sentence = f"This user may not open port {port} on {host}. Set {option} to one above 1023."
    else:
        sentence = f"{place} is no address that can be listened on here. Look at the host beside {option}."
    return ListenFailed(error.errno or errno.EADDRNOTAVAIL, sentence)


def _certificate(certificate: Path, key: Path) -> CertStoreEntry:
    try:
        return read_listener(certificate, key)
    except ValueError as error:
        raise ConfigError([Problem(place=Place(source=str(certificate)), path="", message=str(error))]) from None


def _roots(ca_file: Path | None, state: Path) -> str | None:
    """The public roots with a private CA added. mitmproxy's option would put the file in their place."""
    if ca_file is None:
        return None
    added = read_regular(ca_file)
    try:
        x509.load_pem_x509_certificates(added)
    except ValueError:
        message = "holds no certificate in PEM form, so no provider could be trusted by it"
        problem = Problem(place=Place(source=str(ca_file)), path="upstream.ca_file", message=message)
        raise ConfigError([problem]) from None
    return str(_merged(Path(certifi.where()).read_bytes() + b"\n" + added, state))


def _merged(roots: bytes, state: Path) -> Path:
    """These roots as a file, whole or not at all, and named by its content: servers may share the folder."""
    merged = prepare(state) / f"upstream-roots-{hashlib.sha256(roots).hexdigest()[:16]}.pem"
    if not merged.exists():
        unfinished = merged.with_suffix(f".{os.getpid()}")
        unfinished.write_bytes(roots)
        unfinished.replace(merged)
    return merged


def own_ports(settings: Settings, listeners: Listeners) -> frozenset[int]:
    """The ports that this process listens on, for whoever must not be led back to them."""
    modes = (mode_specs.ProxyMode.parse(mode) for mode in listeners.modes)
    ports = {port for mode in modes if (port := mode.listen_port())}
    return frozenset(ports | ({settings.metrics.port} if settings.metrics is not None else set()))
