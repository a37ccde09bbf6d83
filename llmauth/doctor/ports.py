"""The ports: ours already, free, or taken, and by whom as far as this machine tells."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from llmauth.doctor.findings import Finding, fail, ok
from llmauth.doctor.patient import Patient

_LISTENING = "0A"


def examine(patient: Patient) -> Iterator[Finding]:
    """The plain port, the TLS port where it has its files, and that of the metrics."""
    settings = patient.settings
    server = settings.server
    wanted = [("server.port", server.host, server.port)]
    if server.tls_cert_file is not None and server.tls_key_file is not None:
        wanted.append(("server.tls_port", server.host, server.tls_port))
    if settings.metrics is not None:
        wanted.append(("metrics.port", settings.metrics.host, settings.metrics.port))
    for option, host, port in wanted:
        if port:  # 0 is any that is free
            yield _port(patient, option, host, port)


def _port(patient: Patient, option: str, host: str, port: int) -> Finding:
    ours = {one.process for one in patient.running if port in (one.port, one.tls_port) or option == "metrics.port"}
    refused = _refused(host, port)
    if refused is None:
        return ok(f"port {port} free")
    if refused == errno.EADDRINUSE:
        return _taken(option, host, port, ours)
    if refused in (errno.EACCES, errno.EPERM):
        return fail(f"port {port}: this user may not open it", f"{option.replace('.', ': {')}: 8080}}")
    return fail(f"port {port}: {host} is no address of this machine", "server: {host: 127.0.0.1}")


def _taken(option: str, host: str, port: int, ours: set[int]) -> Finding:
    holders = _holders(port)
    if ours and (not holders or ours & holders.keys() or any("llmauth" in name for name in holders.values())):
        return ok(f"port {port} is ours (process {', '.join(map(str, sorted(ours)))})")
    section, _, name = option.partition(".")
    whom = ", ".join(f"{name} (process {number})" for number, name in holders.items()) or "another program"
    end = f"kill {next(iter(holders))}, or " if holders else ""
    return fail(f"port {port} is taken by {whom}", f"{end}{section}: {{{name}: {port + 1}}}")


def _refused(host: str, port: int) -> int | None:
    """Why it could not be opened, as an error number; `None` where it can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.errno or errno.EADDRNOTAVAIL
    return None


def _holders(port: int) -> dict[int, str]:
    """Processes that listen on a port, with their names; none where /proc does not tell, or not to this user."""
    inodes = _listening(port)
    found: dict[int, str] = {}
    for process in Path("/proc").glob("[0-9]*") if inodes else ():
        with suppress(OSError):
            if any(_inode(link) in inodes for link in (process / "fd").iterdir()):
                found[int(process.name)] = (process / "comm").read_text().strip()
    return found


def _inode(link: Path) -> str:
    try:
        return os.readlink(link).removeprefix("socket:[").removesuffix("]")
    except OSError:
        return ""


def _listening(port: int) -> set[str]:
    """proc(5): of each socket its address, its state in hexadecimal, and in the tenth column its inode."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                words = line.split()
                if words[3] == _LISTENING and int(words[1].rpartition(":")[2], 16) == port:
                    found.add(words[9])
    return found
