"""What the system lets a process have: open files for as many connections as are configured."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from llmauth.doctor.findings import Finding, ok, warn
from llmauth.doctor.patient import Patient

# Each connection of a client may open one to a provider, and a process has its own files beside them.
_OF_EACH, _OWN = 2, 128
# For a configuration that leaves the number of connections to us.
_FEW = 448


def examine(patient: Patient) -> Iterator[Finding]:
    """Of the running proxy where there is one, else of this shell."""
    wanted = (patient.settings.limits.connections or _FEW) * _OF_EACH + _OWN
    running = patient.running
    found = _of(running[0].process) if running else None
    files = found if found is not None else _hard_limit()
    if files < wanted:
        yield warn(
            f"open files: {files} allowed, and {wanted} would be needed for limits.connections",
            f"ulimit -n {wanted} before llmauth serve (systemd: LimitNOFILE={wanted})",
        )
    else:
        yield ok("open files enough")


def _hard_limit() -> int:
    """What `llmauth serve` raises its own to."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return 1_000_000 if hard == resource.RLIM_INFINITY else hard


def _of(process: int) -> int | None:
    with suppress(OSError, ValueError, IndexError):
        for line in Path(f"/proc/{process}/limits").read_text().splitlines():
            if line.startswith("Max open files"):
                return int(line.split()[3])
    return None
