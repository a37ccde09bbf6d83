"""What google-auth was given, taken for a token or refused."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from llmauth.credentials.google.calls import Calls
from llmauth.credentials.google.grants import granted
from llmauth.outbound import Outbound
from llmauth.secrets import Secret
from llmauth.sources import SourceFailed


class Credentials:
    """As google-auth's are, after a refresh: their moment is of UTC, and does not say so."""

    def __init__(self, token: Any, expiry: Any, problem: Exception | None = None) -> None:
        self.token, self.expiry, self._problem = token, expiry, problem

    def refresh(self, request: object) -> None:
        if self._problem is not None:
            raise self._problem


def in_an_hour() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=1)


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Auckland", "America/Los_Angeles"])
def test_the_end_is_of_utc_wherever_we_are(monkeypatch, zone) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        grant = granted(Credentials("t", in_an_hour()), Calls(Outbound()))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert grant.token == Secret("t")
    assert 3590 < grant.ends - time.time() <= 3600


@pytest.mark.parametrize(
    ("token", "expiry"),
    [
        (None, in_an_hour()),
        ("", in_an_hour()),
        ("two\r\nlines", in_an_hour()),
        (b"bytes", in_an_hour()),
        ("t", None),
        ("t", "soon"),
        ("t", in_an_hour() - timedelta(hours=2)),
        ("t", in_an_hour() + timedelta(days=2)),
    ],
)
def test_no_token(token, expiry) -> None:
    with pytest.raises(SourceFailed, match=r"without a token|without the life"):
        granted(Credentials(token, expiry), Calls(Outbound()))


def test_what_the_library_raises_is_told_by_its_class() -> None:
    with pytest.raises(SourceFailed) as caught:
        granted(Credentials("t", None, KeyError("canary-7f3a")), Calls(Outbound()))
    assert caught.value.reason == "Google's answer is no token: KeyError"


def test_our_own_reason_is_kept() -> None:
    with pytest.raises(SourceFailed, match=r"^because$"):
        granted(Credentials("t", None, SourceFailed("because")), Calls(Outbound()))
