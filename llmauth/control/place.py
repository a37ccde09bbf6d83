"""Where the control sockets of running proxies are: one for each process, in a folder of the state that is closed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = "control"
# The shortest of the limits of Unix systems for the address of a socket: 104 bytes, with the one that ends it.
_LONGEST = 103


def folder_of(home: Path) -> Path:
    """The folder of the sockets, below a state folder."""
    return home / FOLDER


@contextmanager
def short(folder: Path, name: str) -> Iterator[str]:
    """A path of this file that is short enough to be the address of a socket; OSError where there is none."""
    path = folder / name
    if len(os.fsencode(path)) <= _LONGEST:
        yield str(path)
        return
    if not Path("/proc/self/fd").is_dir():
        raise OSError(f"the path {path} is too long for a socket")
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)
