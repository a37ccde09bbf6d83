"""What lies in our folders and is ours: known by name and kind, found and taken away without following a link."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

# What was being written when a process was killed: `.name.` and a random end.
_DRAFT = r"\.[\w.-]+\.[0-9a-f]{16}(\.yaml)?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """Which files of a folder are ours, by their names, and which folders in it."""

    files: str = "(?!)"
    folders: Mapping[str, Shelf] = field(default_factory=dict)

    def without(self, *names: str) -> Shelf:
        """The same, as if these folders were not ours."""
        return Shelf(files=self.files, folders={n: one for n, one in self.folders.items() if n not in names})

    def has(self, name: str) -> bool:
        """Whether a file of this name is ours."""
        return re.fullmatch(f"{self.files}|{_DRAFT}", name) is not None


_STAMP = r"(\.\d{8}T\d{6}Z)?"
AUDIT = ("audit", "heads")
"""The folders of the record of decisions; `audit.key` proves what is in them."""

STATE = Shelf(
    files=(
        r"keys\.db(-wal|-shm|-journal)?|(sealing|token|audit)\.key|learned-hosts\.txt|web-token|"
        r"keyring-entries\.json|installed\.json|upstream-roots-[0-9a-f]{16}\.pem|limits-\d+-[0-9a-f]+\.sock"
    ),
    folders={
        "ca": Shelf(files=rf"ca-key{_STAMP}\.pem|ca{_STAMP}\.pem"),
        "control": Shelf(files=r"\d{1,10}-[0-9a-f]+\.sock"),
        "audit": Shelf(files=r"[\w-]+\.jsonl|\.cli\.lock"),
        "heads": Shelf(files=r"[\w-]+\.head"),
        "clients": Shelf(files=r"(bundle|extra|ca)\.pem|java\.p12|wgetrc|google\.json"),
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What was found in a folder: files that are ours, and what else lies there and keeps the folder from going."""

    ours: tuple[Path, ...] = ()
    foreign: tuple[Path, ...] = ()


def listing(folder: Path, shelf: Shelf) -> Listing:
    """What is there; nothing for a folder that is not there. A folder that is a link is foreign itself."""
    if not os.path.lexists(folder):
        return Listing()
    descriptor = _opened(folder)
    if descriptor is None:
        return Listing(foreign=(folder,))
    try:
        return _merged(_walk(descriptor, folder, shelf, remove=False))
    finally:
        os.close(descriptor)


def remove(folder: Path, shelf: Shelf) -> Listing:
    """Take away what is ours, and the folder where nothing else lies in it; what went, and what stayed.

    What is ours is judged again here, in the very folder that is open: what was listed may have been replaced.
    """
    descriptor = _opened(folder)
    if descriptor is None:
        return listing(folder, shelf)
    try:
        result = _merged(_walk(descriptor, folder, shelf, remove=True))
    finally:
        os.close(descriptor)
    with suppress(OSError):  # not empty
        os.rmdir(folder)
    return result


def _opened(folder: Path, within: int | None = None) -> int | None:
    """A folder of our own that is no link; None otherwise."""
    name = folder.name if within is not None else folder
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=within)
    except OSError:
        return None
    if os.fstat(descriptor).st_uid == os.getuid():
        return descriptor
    os.close(descriptor)
    return None


def _walk(descriptor: int, folder: Path, shelf: Shelf, *, remove: bool) -> Iterable[Listing]:
    for name in sorted(os.listdir(descriptor)):
        path = folder / name
        below = shelf.folders.get(name)
        inner = _opened(path, descriptor) if below is not None else None
        if below is not None and inner is not None:
            try:
                yield from _walk(inner, path, below, remove=remove)
            finally:
                os.close(inner)
            if remove:
                with suppress(OSError):  # not empty: what lies in it was told
                    os.rmdir(name, dir_fd=descriptor)
        elif shelf.has(name) and _is_plain(name, descriptor) and (not remove or _unlinked(name, descriptor)):
            yield Listing(ours=(path,))
        else:
            yield Listing(foreign=(path,))


def _is_plain(name: str, within: int) -> bool:
    """A file or a socket of our own; a link is neither."""
    try:
        found = os.stat(name, dir_fd=within, follow_symlinks=False)
    except OSError:
        return False
    return found.st_uid == os.getuid() and (stat.S_ISREG(found.st_mode) or stat.S_ISSOCK(found.st_mode))


def _unlinked(name: str, within: int) -> bool:
    try:
        os.unlink(name, dir_fd=within)
    except OSError:
        return False
    return True


def _merged(parts: Iterable[Listing]) -> Listing:
    every = list(parts)
    return Listing(
        ours=tuple(path for one in every for path in one.ours),
        foreign=tuple(path for one in every for path in one.foreign),
    )
