"""Agents that run already, and were started without a proxy: from a dock or an editor, which reads no shell's files."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from llmauth.doctor.findings import Finding, ok, skip, warn
from llmauth.doctor.patient import Patient

# By the name of their process; what is started for each of them.
_AGENTS = {
    "claude": "Claude",
    "claude-desktop": "Claude",
    "codex": "Codex",
    "cursor": "Cursor",
    "aider": "aider",
    "gemini": "Gemini CLI",
    "opencode": "opencode",
    "goose": "goose",
}
_VARIABLES = (b"HTTPS_PROXY=", b"https_proxy=")
_PROC = Path("/proc")


def examine(patient: Patient) -> Iterator[Finding]:
    """Of this user's own processes, the environment that each was started with: its variables' names alone."""
    if sys.platform != "linux":
        yield skip("programs that run: only Linux tells their environment")
        return
    without = list(_without_proxy(_PROC))
    for number, name in without:
        agent = _AGENTS[name]
        what = f"{agent} (process {number}) was started without proxy variables"
        yield warn(what, f"end it, then: llmauth run -- {name}")
    if not without:
        yield ok("no agent runs without proxy variables")


def _without_proxy(folder: Path) -> Iterator[tuple[int, str]]:
    for process in sorted(folder.glob("[0-9]*"), key=lambda one: int(one.name)):
        with suppress(OSError):
            name = (process / "comm").read_text().strip().lower()
            if name not in _AGENTS or process.stat().st_uid != os.getuid():
                continue
            variables = (process / "environ").read_bytes().split(b"\0")
            if not any(one.startswith(_VARIABLES) for one in variables):
                yield int(process.name), name
