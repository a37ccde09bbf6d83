"""The record of a change comes before its secret is shown; one of a refusal stands in nobody's way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llmauth.cli.key_records import recorded
from llmauth.storage.home import StateUnusable
from llmauth.storage.keys import KeyNameTaken, KeyNotFound
from llmauth.storage.records import KeyRecord
from tests.fixtures.audits import lines_in

KEY = KeyRecord(
    id="k3y1d",
    name="ci",
    user="alice",
    groups=(),
    algorithm="a",
    hash="canary",
    created=1.0,
    expires=None,
    revoked=None,
    last_used=None,
)


def told(home: Path) -> list[dict[str, object]]:
    return [one for one in lines_in(home) if one["kind"] == "admin"]


def test_it_is_written_when_it_is_said_to_be_done(tmp_path: Path) -> None:
    with recorded(tmp_path / "home", "key.create", "ci", "") as done:
        assert not (tmp_path / "home").exists()
        done(KEY)
        (line,) = told(tmp_path / "home")
    assert {"action": "key.create", "subject": "k3y1d", "user": "alice", "name": "ci", "result": "done"}.items() <= (
        line.items()
    )
    assert "canary" not in str(line)


@pytest.mark.parametrize("error", [KeyNotFound("No such key."), KeyNameTaken("There is one.")])
def test_a_refusal_is_told_and_passed_on(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)), recorded(tmp_path / "home", "key.revoke", "ci", ""):
        raise error
    (line,) = told(tmp_path / "home")
    assert (line["result"], line["name"], line["reason"]) == ("refused", "ci", str(error))


def test_a_refusal_that_cannot_be_written_is_one_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    with pytest.raises(KeyNotFound), recorded(tmp_path / "home", "key.revoke", "ci", ""):
        raise KeyNotFound("No such key.")


def test_what_was_done_and_cannot_be_written_says_what_holds(tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    with (
        recorded(tmp_path / "home", "key.revoke", "ci", "'{name}' was revoked.") as done,
        pytest.raises(StateUnusable, match=r"^'ci' was revoked\. .*home"),
    ):
        done(KEY)


def test_where_the_record_is_off_nothing_is_written(tmp_path: Path) -> None:
    with recorded(None, "key.revoke", "ci", "") as done:
        done(KEY)
    with pytest.raises(KeyNotFound), recorded(None, "key.revoke", "ci", ""):
        raise KeyNotFound("No such key.")
    assert list(tmp_path.iterdir()) == []


def test_an_account_without_a_name_is_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless(user: int) -> None:
        raise KeyError(user)

    monkeypatch.setattr("pwd.getpwuid", nameless)
    with recorded(tmp_path / "home", "key.create", "ci", "") as done:
        done(KEY)
    assert told(tmp_path / "home")[0]["by"] == f"cli:{os.getuid()}"
