"""A proxy that was joined and cannot be reached, or of which nothing is known; one that serves is in tests/e2e."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from llmauth.clients import joined
from llmauth.doctor.team import examine
from llmauth.secrets import Secret
from tests.fixtures.keyrings import none_here
from tests.llmauth.doctor.conftest import Make
from tests.llmauth.doctor.test_joining import profile


@pytest.fixture(autouse=True)
def no_keyring(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with none_here(monkeypatch):
        yield


def test_without_one_nothing_is_asked(patient: Make) -> None:
    assert [one.verdict for one in examine(patient())] == ["skip"]


def test_one_that_does_not_answer_and_one_that_is_damaged(patient: Make) -> None:
    one = patient()
    joined.write(profile(), Secret("session-canary-7f3a"), one.environ)
    (found,) = examine(one)
    assert (found.verdict, found.what.startswith("127.0.0.1:1 does not answer")) == ("fail", True)
    (joined.folder(one.environ) / joined.PROFILE).write_text("{")
    (found,) = examine(patient())
    assert (found.verdict, found.fix) == ("fail", "llmauth join URL")
    assert "canary" not in str(found)
