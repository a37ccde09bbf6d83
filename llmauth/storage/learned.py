"""The hosts that callers asked for while the egress policy learned: one a line, each once, and never too many."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from llmauth.addresses import HostPort

logger = logging.getLogger(__name__)

MOST = 10_000
# A link would have callers write where it leads, a pipe would hold a thread until somebody reads from it.
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class LearnedHosts:
    """A file that several processes may add to. Blocking: writes once for each host that is new to this process."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known = set(self.read())

    def read(self) -> tuple[str, ...]:
        """The hosts in the file, sorted, each once; none where there is no file."""
        try:
            lines = self._file.read_text(encoding="ascii", errors="replace").splitlines()
        except OSError:
            return ()
        return tuple(sorted({line.strip() for line in lines[: 2 * MOST] if line.strip()}))

    def add(self, target: HostPort) -> bool:
        """Write a host down; False where it is known, where there are too many, or where nothing can be written."""
        line = str(target)
        if line in self._known or len(self._known) >= MOST:
            return False
        self._known.add(line)
        try:
            handle = os.open(self._file, _APPEND, 0o600)
            with os.fdopen(handle, "ab", buffering=0) as file:
                file.write(f"{line}\n".encode("ascii"))
        except OSError as error:
            logger.warning("A learned host could not be written down", extra={"error": type(error).__name__})
            return False
        return True
