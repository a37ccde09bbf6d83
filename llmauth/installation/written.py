"""The files that `llmauth init` wrote: whole or not at all, over nobody's work, and remembered in the state folder."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from llmauth.installation.profiles import MARK

RECORD = "installed.json"
"""In the state folder: the configurations that were written, by their paths."""


class AlreadyThere(Exception):
    """A file stands where one was to be written; a sentence."""


@contextmanager
def draft(path: Path, content: str) -> Iterator[Path]:
    """The content in a file beside `path`, for whoever judges it first; gone afterwards, unless `settle` took it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{token_hex(8)}.yaml")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        yield new
    finally:
        new.unlink(missing_ok=True)


def settle(new: Path, path: Path, *, force: bool) -> None:
    """Put a draft in its place; AlreadyThere where another file stands there, unless `force`."""
    if force:
        os.replace(new, path)
        return
    try:
        # link(2) fails where the name is taken, by a link that leads nowhere as well: nothing is written through it.
        os.link(new, path)
    except FileExistsError:
        raise AlreadyThere(f"{path} is there already and stays as it is; --force writes it anew.") from None


def remember(home: Path, path: Path) -> None:
    """Write down that this file is ours."""
    record = home / RECORD
    with draft(record, json.dumps(sorted({*map(str, remembered(home)), str(path.absolute())}))) as new:
        os.replace(new, record)


def remembered(home: Path) -> tuple[Path, ...]:
    """The files that were written by what this state folder says; a record that cannot be read says nothing."""
    try:
        told = json.loads((home / RECORD).read_text(encoding="utf-8"))
        return tuple(Path(one) for one in told)
    except (OSError, ValueError, TypeError):
        return ()


def is_ours(path: Path) -> bool:
    """Whether a file begins as those that we write; a link never does."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        return os.read(descriptor, len(MARK.encode())) == MARK.encode()
    except OSError:  # a folder
        return False
    finally:
        os.close(descriptor)
