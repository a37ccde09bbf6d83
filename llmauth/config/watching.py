"""Which files a running proxy's configuration stands in, and whether they hold something else by now."""

from __future__ import annotations

import errno
import hashlib
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from llmauth.ca import KEY_FILE
from llmauth.config.problems import ConfigError
from llmauth.config.settings import Settings
from llmauth.regular import read_regular

# What it would hold otherwise is read by whoever is given its name, and followed there: lists of users, secrets.
_ROOTS = "ca_file"
_TRIES = 3


def files_of(settings: Settings) -> tuple[Path, ...]:
    """Every file that is read when a configuration is: its own, and those of prices, certificates and roots."""
    server = settings.server
    named = (
        settings.prices_file,
        server.tls_cert_file,
        server.tls_key_file,
        settings.ca.folder / KEY_FILE,
        *roots_of(settings.upstream),
        *roots_of(settings.vaults),
        *(file for method in settings.auth.methods for file in roots_of(method)),
    )
    return tuple(dict.fromkeys((*settings.files, *(file for file in named if file is not None))))


def roots_of(section: BaseModel) -> Iterator[Path]:
    """The files of trusted roots that a part of the configuration names."""
    for name, value in section:
        if name == _ROOTS and isinstance(value, Path):
            yield value
        elif isinstance(value, BaseModel):
            yield from roots_of(value)


def named_in(error: ConfigError) -> tuple[Path, ...]:
    """The files that faults are told of: where these are mended, the configuration is to be read again."""
    return tuple(path for path in {Path(problem.place.source) for problem in error.problems} if path.is_file())


def mark(files: Iterable[Path]) -> str:
    """Differs whenever the content of one of these files does, or one is there no longer. Blocking.

    Contents are compared, and not times: a mounted ConfigMap is swapped as a whole folder, behind a link.
    """
    whole = hashlib.sha256()
    for file in files:
        whole.update(_content(file))
    return whole.hexdigest()


def mark_of_roots(section: Any) -> str:
    """The same of the roots that a part of the configuration names; empty where it names none."""
    files = tuple(roots_of(section)) if isinstance(section, BaseModel) else ()
    return mark(files) if files else ""


def _content(file: Path) -> bytes:
    """What it holds. Of one that is not to be read, a pipe or one that fills the memory, what tells it from another."""
    try:
        seen = file.stat()
    except OSError:
        return b"-"
    try:
        if stat.S_ISREG(seen.st_mode):
            content = read_regular(file)
            return b"%d:" % len(content) + content
    except OSError:
        pass
    return b"?%d.%d.%d.%d.%d;" % (seen.st_dev, seen.st_ino, seen.st_mode, seen.st_size, seen.st_mtime_ns)


class FilesChanged(OSError):
    """Files were written while they were read, or between two who read them."""

    def __init__(self) -> None:
        super().__init__(errno.EAGAIN, "the files of the configuration changed while they were read; try again")


class Watch:
    """Looks at the files of a configuration from time to time. A change counts when what they hold stayed the same from
    one look to the next: whoever writes a file takes a moment, and several files are written one after the other.

    All of it blocks.
    """

    def __init__(self, settings: Settings) -> None:
        self._files = files_of(settings)
        self._used = self._seen = mark(self._files)
        self._next: tuple[tuple[Path, ...], str] | None = None

    def look(self) -> bool:
        """Whether there is something that was not read yet."""
        seen, before = mark(self._files), self._seen
        self._seen = seen
        return seen == before and seen != self._used

    def read(self, read: Callable[[], Settings]) -> tuple[Settings, str]:
        """The settings, and the mark of the files that they stand in; the same content is not read again unasked.

        Raises what `read` does; then the files with faults are looked at as well. FilesChanged where nothing holds
        still.
        """
        for _ in range(_TRIES):
            before = mark(self._files)
            try:
                settings = read()
            except ConfigError as error:
                if mark(self._files) == before:
                    self._note(named_in(error))
                raise
            now = files_of(settings)
            marked = mark(now)
            if mark(self._files) == before:
                self._next = now, marked
                self._note(now)
                return settings, marked
        raise FilesChanged

    def taken(self) -> None:
        """What was read last is in force: its files are the ones to look at."""
        if self._next is not None:
            self._files, self._used = self._next
            self._seen, self._next = self._used, None

    def _note(self, also: Iterable[Path]) -> None:
        self._files = tuple(dict.fromkeys((*self._files, *also)))
        self._used = self._seen = mark(self._files)
