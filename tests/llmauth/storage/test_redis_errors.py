from __future__ import annotations

import pytest
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    NoPermissionError,
    ReadOnlyError,
    ResponseError,
)

from llmauth.storage.redis_errors import word_of

KNOWN = ("NOAUTH", "MISCONF", "BUSY")


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (AuthenticationError("invalid username-password pair"), "WRONGPASS"),
        (AuthenticationError("Authentication required."), "NOAUTH"),
        (AuthorizationError("not for you"), "WRONGPASS"),
        (NoPermissionError("this user has no permissions"), "NOPERM"),
        (ReadOnlyError("You can't write against a read only replica."), "READONLY"),
        (BusyLoadingError("loading the dataset"), "LOADING"),
        (ResponseError("MISCONF Redis is configured to save RDB snapshots"), "MISCONF"),
        (ResponseError("misconf in another case"), "MISCONF"),
        (ResponseError("OTHER word"), None),
        (OSError("no route"), None),
    ],
    ids=str,
)
def test_the_word(error: Exception, word: str | None) -> None:
    assert word_of(error, KNOWN) == word
