"""The file in which a platform keeps a token for its workload, and exchanges it before it ends."""

from __future__ import annotations

import os

from llmauth.sources import SourceFailed

_MOST = 64 * 1024


def token_of(path: str, variable: str) -> str:
    """The token in the file that a variable of the environment names. Raises SourceFailed, which names the variable."""
    try:
        # A pipe that nobody writes to would never come back, and a folder would leave its descriptor open.
        with open(path, encoding="ascii", opener=_opened) as file:
            token = file.read(_MOST).strip()
    except (OSError, ValueError) as error:
        raise SourceFailed(f"the file that {variable} names cannot be read: {type(error).__name__}") from None
    if not token or not token.isprintable():
        raise SourceFailed(f"the file that {variable} names holds no token")
    return token


def _opened(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
