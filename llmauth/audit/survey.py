"""What other files there are when one is begun: those that ended and nobody has named yet, and those still written."""

from __future__ import annotations

import fcntl
import logging
import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

from llmauth.audit.chain import LONGEST_LINE, Link, parsed
from llmauth.audit.heads import Signer, head_of
from llmauth.audit.segments import FOLDER, entry, is_name

logger = logging.getLogger(__name__)

SHARED = "cli.jsonl"
"""The file that every command adds to; so it never ends."""
# Few are left unnamed by those before; a line has a limit.
_MOST = 4000
_ENTRY = re.compile(r"(\S+) ([0-9]{1,18}) ([0-9a-f]{64})(?: ([0-9]{1,18}))?")
_BLOCK = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Files as a start names them: `follows` have ended, `seen` are written by others."""

    follows: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    name: str
    live: bool
    names: tuple[str, ...]
    end: Link | None


def survey(home: Path, signer: Signer) -> Surroundings:
    """Look at all files of records. What cannot be read is told in the log, and for `audit verify` to judge."""
    found = [one for path in files_in(home) if (one := _look(path)) is not None]
    named = {name for one in found for name in one.names}
    over = [_ended(home, signer, one.name, one.end) for one in found if one.end is not None and one.name not in named]
    seen = [entry(one.name, link) for one in found if one.live and (link := _signed(home, one.name, signer))]
    return Surroundings(follows=tuple(over[:_MOST]), seen=tuple(seen[:_MOST]))


def files_in(home: Path) -> list[Path]:
    """The files of records, the oldest first; none where there is no folder."""
    try:
        names = os.listdir(home / FOLDER)
    except FileNotFoundError:
        return []
    return [home / FOLDER / name for name in sorted(names) if name.endswith(".jsonl") and not name.startswith(".")]


def open_regular(path: Path) -> IO[bytes]:
    """A file to read; OSError for whatever is none (a link, a pipe)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "Not a regular file", str(path))
    return open(descriptor, "rb")


class Named(NamedTuple):
    """A file as the first record of another one names it: how far it went, and how far that was signed."""

    name: str
    seq: int
    hash: str
    signed: int


def named_in(told: Mapping[str, Any], *fields: str) -> list[Named]:
    """The files that a first record names in these fields."""
    entries = [_ENTRY.fullmatch(text) for field in fields for text in _texts(told.get(field))]
    return [Named(one[1], int(one[2]), one[3], int(one[4] or one[2])) for one in entries if one is not None]


def _texts(value: object) -> Iterable[str]:
    if isinstance(value, str):
        return (value,)
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else ()


def _look(path: Path) -> _Found | None:
    if not is_name(path.name):
        return None
    try:
        with open_regular(path) as file:
            live = path.name == SHARED or _is_locked(file)
            first = parsed(file.readline(LONGEST_LINE)) or {}
            names = tuple(one.name for one in named_in(first, "follows", "broken"))
            return _Found(name=path.name, live=live, names=names, end=None if live else _end(file))
    except OSError as error:
        logger.warning("audit file cannot be read", extra={"file": path.name, "cause": error.strerror})
        return None


def _is_locked(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    return False


def _end(file: IO[bytes]) -> Link | None:
    """The last whole line of a file, None where there is none."""
    size, content = file.seek(0, os.SEEK_END), b""
    for block in range(1, LONGEST_LINE // _BLOCK + 2):
        at = max(0, size - block * _BLOCK)
        file.seek(at)
        content = file.read(size - at)
        whole = content[: content.rfind(b"\n") + 1]
        if at == 0 or whole[:-1].count(b"\n"):
            break
    lines = content[: content.rfind(b"\n") + 1].splitlines(keepends=True)
    told = parsed(lines[-1]) if lines else None
    return None if told is None else Link(seq=told["seq"], hash=told["hash"])


def _ended(home: Path, signer: Signer, name: str, end: Link) -> str:
    link = _signed(home, name, signer)
    return entry(name, end, 0 if link is None else min(link.seq, end.seq))


def _signed(home: Path, name: str, signer: Signer) -> Link | None:
    try:
        head = signer.read(head_of(home, name))
    except OSError:
        return None
    return head.link if head is not None and head.genuine and head.link.seq else None
