"""One record from a command that runs for a moment: added to a file that all such commands share, one at a time."""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from llmauth.audit.chain import next_line
from llmauth.audit.heads import Signer, head_of, signer_for
from llmauth.audit.records import Record, facts
from llmauth.audit.segments import FOLDER, Segment, begin, entry, new_name, starting
from llmauth.audit.survey import SHARED
from llmauth.clock import Clock, SystemClock
from llmauth.storage.home import StateError, StateUnusable, prepare

logger = logging.getLogger(__name__)

_LOCK = ".cli.lock"
_PATIENCE = 10.0
_PAUSE = 0.02


def append_once(home: Path, record: Record, clock: Clock | None = None) -> None:
    """Write one record; it is on the disk when this returns. Blocking. StateError when it cannot be written.

    Where somebody has changed the shared file, a file of its own is begun, which names it: a key must be revocable all
    the same, and `audit verify` tells what happened.
    """
    at = (clock or SystemClock()).wall()
    prepare(home)
    folder = prepare(home / FOLDER)
    signer = signer_for(home)
    try:
        with _alone(folder / _LOCK):
            segment = _opened(home, signer, at)
            try:
                segment.append(*next_line(segment.link, facts(record), at))
                segment.sync()
            finally:
                segment.close()
    except OSError as error:
        raise StateUnusable(f"The audit record in {folder} cannot be written: {error.strerror}.") from None


def _opened(home: Path, signer: Signer, at: float) -> Segment:
    try:
        if _is_new(home, signer):
            return begin(home, signer, starting(SHARED, "start"), at)
        return Segment.resume(home, SHARED, signer)
    except (StateError, FileNotFoundError) as error:
        logger.warning("shared audit file does not go on", extra={"file": SHARED, "cause": str(error)})
    return begin(home, signer, starting(new_name(at), "recovery", broken=_last(home, signer)), at)


def _is_new(home: Path, signer: Signer) -> bool:
    """Whether nobody has written to the shared file yet; one who was killed as it began has not."""
    head = head_of(home, SHARED)
    if not head.exists():
        return not (home / FOLDER / SHARED).exists()
    found = signer.read(head)
    unwritten = found is not None and found.genuine and found.link.seq == 0
    if unwritten:
        (home / FOLDER / SHARED).unlink(missing_ok=True)
    return unwritten


def _last(home: Path, signer: Signer) -> str | None:
    try:
        found = signer.read(head_of(home, SHARED))
    except OSError:
        return None
    return entry(SHARED, found.link) if found is not None and found.genuine else None


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Held by one command at a time; whoever is killed lets go of it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        _lock(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > until:
                raise StateUnusable(f"{path} is held by another process for more than {_PATIENCE:.0f} s.") from None
        time.sleep(_PAUSE)
