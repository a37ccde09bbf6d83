"""A credential in a file, or in a folder with one file per field: a mounted Kubernetes or Docker secret."""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from llmauth.context import ProviderType
from llmauth.credentials.base import Options, Seconds, Surroundings
from llmauth.credentials.fields import credential_at, field_name
from llmauth.secrets import Loaded, Secret
from llmauth.sources import SourceFailed, SourceUnavailable

log = logging.getLogger(__name__)

MAX_BYTES = 64 * 1024

# A changed file counts within 5 s: this age, the second in which the cache looks again, and the reading itself.
REFRESH_AFTER = 3.0

# Kubelet publishes a secret as one new folder, and then moves this link to it in a single rename.
_PUBLISHED = "..data"
# Reading meets a rotation seldom; meeting it this often in a row is a broken mount.
_ATTEMPTS = 5


class FileOptions(Options):
    """`{type: file, path: /etc/llmauth/openai-key}`; the path may be a folder with one file per field."""

    type: Literal["file"] = "file"
    path: Path
    refresh_interval: Seconds | None = None


class FileStrategy:
    """Reads the file anew at each load, so that a rotated secret is followed."""

    label = "file"

    def __init__(self, options: FileOptions, surroundings: Surroundings) -> None:
        self._path = options.path.expanduser()
        self._provider = surroundings.provider
        self._refresh_after = options.refresh_interval or REFRESH_AFTER
        self._warned = False

    def unavailable(self) -> str | None:
        return None

    def load(self) -> Loaded:
        content = read(self._path, self._provider)
        with _explained(self._path):
            self._warn_if_readable_by_all()
        credential = credential_at(str(self._path), content, self._provider)
        return Loaded(credential=credential, source=str(self._path), refresh_after=self._refresh_after)

    def _warn_if_readable_by_all(self) -> None:
        # Kubernetes mounts secrets as 0644 into a pod that is alone with them; elsewhere it is worth a word.
        if self._warned or os.name != "posix" or _is_mount(self._path):
            return
        if self._path.is_file() and self._path.stat().st_mode & stat.S_IROTH:
            self._warned = True
            log.warning("%s can be read by every user of this machine; chmod 600 keeps it private", self._path)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise SourceUnavailable(f"{path} does not exist") from None
    except UnicodeDecodeError:
        raise SourceFailed(f"{path} is no UTF-8 text") from None
    except OSError as error:
        code = errno.errorcode.get(error.errno or 0, type(error).__name__)
        raise SourceFailed(f"{path} cannot be read: {code}") from None


def _is_mount(path: Path) -> bool:
    return (path / _PUBLISHED).exists() or (path.parent / _PUBLISHED).exists() or path.is_relative_to("/run/secrets")


def read(path: Path, provider: ProviderType) -> Mapping[str, Secret] | str:
    """The fields of a folder that mean something to this type of provider, or the text of a file.

    SourceUnavailable where there is neither, SourceFailed where it cannot be read or must not be used.
    """
    with _explained(path):
        return _fields(path, provider) if path.is_dir() else _published_text(path, MAX_BYTES)


def read_text(path: Path, most: int = MAX_BYTES) -> str:
    """The text of one file, held to the same rules; SourceUnavailable or SourceFailed where it cannot be had."""
    with _explained(path):
        return _published_text(path, most)


def _published_text(path: Path, most: int) -> str:
    """One file of a mount, perhaps: opening it follows two links, and kubelet may delete what the first led to."""
    for _ in range(_ATTEMPTS):
        resolved = _resolved(path.parent)
        try:
            return _text(path, most)
        except FileNotFoundError:
            if _resolved(path.parent) == resolved:
                raise
    raise SourceFailed(f"{path} changes all the time")


def _fields(folder: Path, provider: ProviderType) -> Mapping[str, Secret]:
    """All fields of one publication; read again where the folder was replaced meanwhile."""
    for _ in range(_ATTEMPTS):
        resolved = _resolved(folder)
        with suppress(FileNotFoundError):
            fields = _read_folder(resolved, provider)
            # The old folder is emptied file by file: what was found in it then is no mixture, but may be a part.
            if _resolved(folder) == resolved:
                return fields
    raise SourceFailed(f"{folder} gives no whole set: one of its files is a broken link, or it changes all the time")


def _resolved(folder: Path) -> Path:
    published = folder / _PUBLISHED
    return Path(os.path.realpath(published)) if published.is_symlink() else folder


def _read_folder(folder: Path, provider: ProviderType) -> Mapping[str, Secret]:
    names = [name for name in sorted(os.listdir(folder)) if field_name(name, provider) is not None]
    return {name: Secret(_text(folder / name)) for name in names}


def _text(path: Path, most: int = MAX_BYTES) -> str:
    # O_NONBLOCK, or opening a pipe that nobody writes to would never come back.
    # And by an opener: of a folder, `open` would refuse a descriptor that it was given, and leave it open.
    with open(path, "rb", opener=_opened) as file:
        _inspect(os.fstat(file.fileno()), path)
        content = file.read(most + 1)
    if len(content) > most:
        raise SourceFailed(f"{path} is larger than {most} bytes, the most that is read")
    return content.decode()


def _opened(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _inspect(status: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise SourceFailed(f"{path} is no regular file")
    if os.name == "posix" and (status.st_mode & stat.S_IWOTH or _replaceable(path.parent)):
        raise SourceFailed(f"{path} can be written or replaced by every user of this machine; chmod o-w")


def _replaceable(folder: Path) -> bool:
    # With the sticky bit, as on /tmp and on every Kubernetes mount, only the owner of a file can replace it.
    mode = folder.stat().st_mode
    return bool(mode & stat.S_IWOTH) and not mode & stat.S_ISVTX
