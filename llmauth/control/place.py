"""Where the control sockets of running proxies are: one for each process, in a folder of the state that is closed."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

FOLDER = "control"
# The shortest of the limits of Unix systems for the address of a socket: 104 bytes, with the one that ends it.
_LONGEST = 103
_NAME = re.compile(r"(\d{1,10})-[0-9a-f]+\.sock")
_SWEEP_LIMIT = 0.2


def folder_of(home: Path) -> Path:
    """The folder of the sockets, below a state folder."""
    return home / FOLDER


def sockets(folder: Path) -> Sequence[tuple[int, Path]]:
    """The sockets in a folder, each with the number of its process, in their order."""
    named = ((_NAME.fullmatch(file.name), file) for file in folder.glob("*.sock"))
    return sorted((int(found[1]), file) for found, file in named if found)


def sweep(folder: Path) -> None:
    """Take away what processes that were killed left: sockets at which nobody listens."""
    for _, file in sockets(folder):
        with socket.socket(socket.AF_UNIX) as connection, suppress(OSError), short(folder, file.name) as path:
            connection.settimeout(_SWEEP_LIMIT)
            try:
                connection.connect(path)
            except ConnectionRefusedError:
                file.unlink()


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
