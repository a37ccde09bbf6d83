"""The machine as its signals are read: an environment, and small files. A simulated one is the same, out of a table."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

_MOST = 64 * 1024
# A pipe that nobody writes to would never open, without the first; Windows would end a file at a Ctrl-Z.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class Machine(Protocol):
    """Where this process runs, or would."""

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment."""
        ...

    @property
    def simulated(self) -> bool:
        """Whether it is a table: then only what it was given can be told, and nothing may be asked of the network."""
        ...

    def read(self, path: str) -> str | None:
        """The text of a small file, stripped; `None` where there is none, or none that can be read."""
        ...


@dataclass(frozen=True, slots=True)
class ThisMachine:
    """The real one; another `root` stands in front of every path that is read."""

    environ: Mapping[str, str]
    root: Path = Path("/")
    simulated: bool = field(default=False, init=False)

    def read(self, path: str) -> str | None:
        try:
            return _text(path if self.root == Path("/") else self.root / path.lstrip("/"))
        except (OSError, ValueError):  # a variable may name a path that cannot be one
            return None


@dataclass(frozen=True, slots=True)
class SimulatedMachine:
    """One that is described: its environment, and the files that tell what it is."""

    environ: Mapping[str, str]
    files: Mapping[str, str] = field(default_factory=dict)
    simulated: bool = field(default=True, init=False)

    def read(self, path: str) -> str | None:
        text = self.files.get(path)
        return None if text is None else text.strip()


def _text(path: str | Path) -> str | None:
    descriptor = os.open(path, _FLAGS)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            # What comes through a pipe is gone once it was read, and whom it was meant for would find nothing.
            return None
        return _content(descriptor).decode("utf-8", "replace").strip()
    finally:
        os.close(descriptor)


def _content(descriptor: int) -> bytes:
    content = b""
    while len(content) < _MOST and (piece := os.read(descriptor, _MOST - len(content))):
        content += piece
    return content
