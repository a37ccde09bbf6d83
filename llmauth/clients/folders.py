"""The private folder of one run: made, taken away with all that is in it, and swept up where a run was killed."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_NAME = re.compile(r"llmauth-run-(\d{1,10})-.+")


@contextmanager
def private_folder() -> Iterator[Path]:
    """A folder of mode 0700, named by this process."""
    _sweep(Path(tempfile.gettempdir()))
    folder = Path(tempfile.mkdtemp(prefix=f"llmauth-run-{os.getpid()}-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(place: Path) -> None:
    """Take away what this user's runs left that were killed."""
    with suppress(OSError):
        for folder in place.glob("llmauth-run-*"):
            found = _NAME.fullmatch(folder.name)
            if found and _is_ours(folder) and not _runs(int(found[1])):
                shutil.rmtree(folder, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    # Whoever may write to the place could put a link of this name there.
    return folder.is_dir() and not folder.is_symlink() and folder.lstat().st_uid == os.getuid()


def _runs(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
