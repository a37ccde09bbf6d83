"""Standard error that several processes write to: whole lines, of which none is torn by another's."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator

_AT_ONCE = select.PIPE_BUF


class WholeLines:
    """A text stream on a file descriptor.

    POSIX: "Write requests of {PIPE_BUF} bytes or less shall not be interleaved with data from other processes doing
    writes on the same pipe." A batch of lines is longer, so it is written in pieces that end where a line does.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, text: str) -> int:
        """All of it, now."""
        for piece in _pieces(text.encode("utf-8", "backslashreplace")):
            left = memoryview(piece)
            while left:
                left = left[os.write(self._descriptor, left) :]
        return len(text)

    def flush(self) -> None:
        """Nothing waits."""

    def isatty(self) -> bool:
        """Whether people read it."""
        return os.isatty(self._descriptor)


def _pieces(data: bytes) -> Iterator[bytes]:
    piece = b""
    for line in data.splitlines(keepends=True):
        if piece and len(piece) + len(line) > _AT_ONCE:
            yield piece
            piece = b""
        piece += line
    if piece:
        yield piece
