"""Programs that stand for those of a cloud, a cluster or a vendor: each notes how it was called."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

# What each writes to its standard output; most of them have nothing to say that a page goes on with.
_NAMES = (
    *("aws", "az", "claude", "codex", "docker", "eksctl", "gcloud", "helm", "htpasswd", "ibmcloud", "keyring"),
    *("kubectl", "minikube", "open", "pipx", "terraform", "vault"),
)
SAID: Mapping[str, str] = dict.fromkeys(_NAMES, "stands-in")


class StandIns:
    """In a folder that is first on the path."""

    def __init__(self, folder: Path, said: Mapping[str, str]) -> None:
        self._calls = folder / "calls"
        self._calls.touch()
        for name, text in said.items():
            program = folder / name
            note = f'printf "%s\\n" "$0 $*" >> {shlex.quote(str(self._calls))}'
            program.write_text(f"#!/bin/sh\n{note}\n[ -t 0 ] || true\nprintf '%s\\n' {shlex.quote(text)}\n")
            program.chmod(0o755)

    def calls(self) -> list[str]:
        """Every call: the program's name and its words."""
        return [line.removeprefix(f"{self._calls.parent}/") for line in self._calls.read_text().splitlines()]
