"""Files that a method judges by, followed while it runs: a good new one counts within a second, a bad one never."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from llmauth.regular import read_regular

log = logging.getLogger(__name__)

FOLLOW_SECONDS = 0.5
"""Who is taken out of a file is out within a second, as with keys."""
LONGEST = 4 * 1024 * 1024

Contents = Mapping[Path, bytes]


class FollowedFiles:
    """Some files and what they are good for: `use` is given all their contents, and raises ValueError (a sentence).

    Contents are compared, and not times: a mounted secret is swapped as a whole folder, and clocks of file systems are
    coarse. `use` runs in one thread at a time, and what it did last stands until it does something else.
    """

    def __init__(self, files: tuple[Path, ...], use: Callable[[Contents], None], *, name: str) -> None:
        self._files = files
        self._use = use
        self._name = name
        self._seen: Contents | None = None
        self._told: str | None = None
        self._looking = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Use the files as they are, and follow them; ValueError when they cannot be used."""
        self._seen = self._read()
        self._use(self._seen)
        self._thread = threading.Thread(target=self._follow, name=f"{self._name}-follow", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Follow no longer."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def look(self) -> None:
        """Compare the files with what was seen last; what cannot be used is told, and leaves all as it was."""
        with self._looking:
            try:
                seen = self._read()
                if seen == self._seen:
                    return
                self._seen = seen
                self._use(seen)
            except ValueError as error:
                self._tell(str(error))
            except Exception as error:  # whatever it is: the thread goes on looking
                self._tell(f"unexpected {type(error).__name__}")
            else:
                self._told = None
                log.info("%s: files changed and are in use", self._name)

    def _read(self) -> Contents:
        return {file: _read(file) for file in self._files}

    def _tell(self, why: str) -> None:
        if why != self._told:
            self._told = why
            log.error(
                "%s: files changed and cannot be used, the old ones stay in force", self._name, extra={"why": why}
            )

    def _follow(self) -> None:
        while not self._stopping.wait(FOLLOW_SECONDS):
            self.look()


def _read(file: Path) -> bytes:
    try:
        content = read_regular(file, LONGEST)
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror}") from None
    return content
