"""One file of records and its signed head, open for writing."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
import stat
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex

from llmauth import __version__
from llmauth.audit.chain import BEGINNING, LONGEST_LINE, Link, next_line
from llmauth.audit.heads import FOLDER as HEADS
from llmauth.audit.heads import Signer, head_of
from llmauth.audit.records import Started, facts
from llmauth.durable import sync_folder
from llmauth.storage.home import StateUnusable, prepare

logger = logging.getLogger(__name__)

FOLDER = "audit"
MOST_UNSIGNED = 64
"""How many records are written and then signed for at once; so many may stand behind the head of a killed process."""
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,99}\.jsonl", re.ASCII)
_HASH_AND_END = 64 + 3
_TRIES, _PAUSE = 100, 0.01
_APPEND = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class OutOfPlace(StateUnusable):
    """A file that is being written is no longer where it was, or somebody else has changed its length."""


class Segment:
    """Appends to one file, and signs how far it goes. Blocking; not for several threads, but for `sync` and `close`."""

    def __init__(self, home: Path, name: str, signer: Signer, file: int, head: int, link: Link) -> None:
        self.name = name
        self.link = link
        self._home = home
        self._signer = signer
        self._file = file
        self._head = head
        self._places = (
            (home / FOLDER / name, _identity(os.fstat(file))),
            (head_of(home, name), _identity(os.fstat(head))),
        )
        self._named = False
        self._lost: OSError | None = None

    @classmethod
    def begin(cls, home: Path, name: str, signer: Signer) -> Segment:
        """A new file, held by a lock that ends with this process. The head comes first: no file is ever without one."""
        path, head = home / FOLDER / name, head_of(home, name)
        if not head.exists():
            signer.create(head, name)
        file = os.open(path, _APPEND | os.O_CREAT, 0o600)
        try:
            _hold(file)
            return cls(home, name, signer, file, os.open(head, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW), BEGINNING)
        except BaseException:
            os.close(file)
            raise

    @classmethod
    def resume(cls, home: Path, name: str, signer: Signer) -> Segment:
        """A file of commands that goes on where its head says; StateUnusable when the two do not agree.

        What stands behind that was never confirmed to anybody, and is cut off. More than the one record that a command
        adds is none of ours: then the head is one from before, put back, and we would take off what it hides.
        """
        path, found = home / FOLDER / name, signer.read(head_of(home, name))
        if found is None or not found.genuine or found.file != name:
            raise StateUnusable(f"The signed head of {path} is damaged. Look with: llmauth audit verify")
        file = os.open(path, _APPEND)
        try:
            _require_end(path, file, found.link)
            _require_one_record(path, file, found.link)
            os.ftruncate(file, found.link.length)
            head = os.open(head_of(home, name), os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            return cls(home, name, signer, file, head, found.link)
        except BaseException:
            os.close(file)
            raise

    def append(self, lines: bytes, link: Link) -> None:
        """Hand lines to the operating system, then sign for them. OSError or OutOfPlace, and then nothing was added."""
        self.require_place()
        try:
            _write(self._file, lines)
            _write_over(self._head, self._signer.line(self.name, link))
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file, self.link.length)
            raise
        self.link = link

    def require_place(self) -> None:
        """OutOfPlace when another file, or none, has our name: what is written would be seen by nobody."""
        for path, identity in self._places:
            try:
                found = path.stat(follow_symlinks=False)
            except OSError as error:
                raise OutOfPlace(f"{path}: {error.strerror}") from None
            if _identity(found) != identity:
                raise OutOfPlace(f"{path} is another file now")
            if path.suffix == ".jsonl" and found.st_size != self.link.length:
                raise OutOfPlace(f"{path} has {found.st_size} bytes, and {self.link.length} were written")

    def sync(self) -> None:
        """Have everything so far on the disk: the records, then their head. Safe beside `append` in another thread."""
        if self._lost is not None:
            # fsync(2) reports what could not be written once, and from then on says that all is well.
            raise self._lost
        try:
            os.fsync(self._file)
            os.fsync(self._head)
        except OSError as error:
            self._lost = error
            raise
        if not self._named:
            for path, _ in self._places:
                sync_folder(path.parent)
            sync_folder(self._home)
            self._named = True

    def close(self) -> None:
        """Let go of both files, and of the lock."""
        for descriptor in (self._file, self._head):
            with suppress(OSError):
                os.close(descriptor)

    @property
    def entry(self) -> str:
        """Name, number and hash of the last line, as a start names other files."""
        return entry(self.name, self.link)


def entry(name: str, link: Link, signed: int | None = None) -> str:
    """One file in the list of a start; with how far it is signed, where that is not up to its end."""
    told = f"{name} {link.seq} {link.hash}"
    return told if signed is None or signed == link.seq else f"{told} {signed}"


def begin(home: Path, signer: Signer, started: Started, at: float) -> Segment:
    """A new file whose first record says why it was begun. OSError or StateError when it cannot be."""
    for folder in (FOLDER, HEADS):
        prepare(home / folder)
    segment = Segment.begin(home, started.file, signer)
    try:
        segment.append(*next_line(segment.link, facts(started), at))
    except BaseException:
        segment.close()
        raise
    return segment


def starting(file: str, cause: str, **more: object) -> Started:
    """The first record of a file of this process."""
    known: dict[str, object] = {"version": __version__, "process": os.getpid(), "host": os.uname().nodename}
    return Started(file=file, cause=cause, **known, **more)  # type: ignore[arg-type]


def new_name(at: float) -> str:
    """A name that no other file has: when it was begun (UTC, in milliseconds), by which process, and random digits."""
    moment = datetime.fromtimestamp(at, UTC)
    return f"{moment:%Y%m%dT%H%M%S}{moment.microsecond // 1000:03}Z-{os.getpid()}-{token_hex(4)}.jsonl"


def is_name(name: str) -> bool:
    """Whether a file of records can be called that."""
    return _NAME.fullmatch(name) is not None


def _require_end(path: Path, file: int, link: Link) -> None:
    end = os.pread(file, _HASH_AND_END, max(0, link.length - _HASH_AND_END))
    if link.length and (len(end) != _HASH_AND_END or end[:64] != link.hash.encode()):
        raise StateUnusable(f"{path} does not end as its signed head says. Look with: llmauth audit verify")


def _require_one_record(path: Path, file: int, link: Link) -> None:
    rest = os.pread(file, 2 * LONGEST_LINE, link.length)
    if b"\n" in rest[:-1]:
        raise StateUnusable(f"{path} goes on behind its signed head. Look with: llmauth audit verify")
    if rest:
        logger.warning("unconfirmed audit record taken off", extra={"file": path.name, "seq": link.seq + 1})


def _hold(descriptor: int) -> None:
    """Lock a file: whoever looks round at its start can tell by it which files are still written."""
    for _ in range(_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(_PAUSE)  # somebody looks round at this moment
        except OSError:
            return  # a disk that has no locks, where every file is taken to be written still
    raise StateUnusable("A new audit file is held by another process.")


def _write(descriptor: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]


def _write_over(descriptor: int, content: bytes) -> None:
    if os.pwrite(descriptor, content, 0) != len(content):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def _identity(found: os.stat_result) -> tuple[int, int, bool]:
    return found.st_dev, found.st_ino, stat.S_ISREG(found.st_mode)
