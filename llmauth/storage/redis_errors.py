"""Why a Redis refused, by the word with which it begins what it says."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
)

# What the library takes the first word off of, and makes kinds of errors.
_KINDS: Mapping[type[Exception], str] = {
    AuthenticationError: "WRONGPASS",
    AuthorizationError: "WRONGPASS",
    NoPermissionError: "NOPERM",
    OutOfMemoryError: "OOM",
    ReadOnlyError: "READONLY",
    BusyLoadingError: "LOADING",
}
# What a server says to whom has shown no password at all.
_UNNAMED = re.compile("Authentication required|HELLO must be called with the client already authenticated")


def word_of(error: Exception, known: Collection[str]) -> str | None:
    """The word among those that are known, in their order; `None` for another."""
    for kind, word in _KINDS.items():
        if isinstance(error, kind):
            return "NOAUTH" if _UNNAMED.search(str(error)) else word
    said = str(error).upper()
    return next((word for word in known if said.startswith(word)), None)
