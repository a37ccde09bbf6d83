"""What is ours in a folder goes, and nothing else: links, foreign files, other people's folders."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from llmauth.clients.trust import write_trust
from llmauth.demo.certificates import Authority
from llmauth.installation.inventory import STATE, listing, remove

OURS = ["keys.db", "keys.db-wal", "token.key", "ca/ca-key.pem", "ca/ca.20260101T000000Z.pem", "audit/x-1.jsonl"]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    for name in OURS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    return folder


def test_all_that_is_ours_goes_with_its_folders(state: Path) -> None:
    draft = state / "ca" / ".ca-key.pem.0123456789abcdef"
    draft.write_text("half a key")
    (state / "control").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(state / "control" / "12-ab.sock"))
    found = listing(state, STATE)
    assert {str(path.relative_to(state)) for path in found.ours} == {
        *OURS,
        "control/12-ab.sock",
        "ca/.ca-key.pem.0123456789abcdef",
    }
    assert found.foreign == ()
    assert state.exists(), "to list takes nothing away"
    assert set(remove(state, STATE).ours) == set(found.ours)
    assert not state.exists()


@pytest.mark.parametrize(
    "name", ["notes.txt", "ca/mine.pem", "keys.db.bak", "audit/x.csv", "sub/keys.db", "ca/ca.pem.d/x"]
)
def test_a_foreign_file_stays_and_its_folder_with_it(state: Path, name: str) -> None:
    (state / name).parent.mkdir(exist_ok=True)
    (state / name).write_text("mine")
    result = remove(state, STATE)
    assert (state / name).read_text() == "mine"
    assert len(result.foreign) == 1
    assert not (state / "keys.db").exists()


def test_no_link_is_followed(state: Path, tmp_path: Path) -> None:
    """The attack: whoever can write here points our names at what is not ours."""
    precious = tmp_path / "precious"
    precious.mkdir()
    for name in ("keys.db", "ca.pem", "x-1.head"):
        (precious / name).write_text("theirs")
    (state / "sealing.key").symlink_to(precious / "keys.db")
    (state / "heads").symlink_to(precious)
    (state / "control").symlink_to("/")
    result = remove(state, STATE)
    assert sorted(path.name for path in precious.iterdir()) == ["ca.pem", "keys.db", "x-1.head"]
    assert {path.name for path in result.foreign} == {"sealing.key", "heads", "control"}
    assert (state / "heads").is_symlink(), "a link is not ours either"


def test_a_state_folder_that_is_a_link_is_left(state: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(state)
    assert remove(link, STATE).foreign == (link,)
    assert (state / "keys.db").exists()


def test_a_folder_under_the_name_of_a_file_stays(state: Path) -> None:
    (state / "sealing.key").mkdir()
    (state / "sealing.key" / "x").write_text("mine")
    assert remove(state, STATE).foreign == (state / "sealing.key",)
    assert (state / "sealing.key" / "x").exists()


def test_what_is_replaced_between_list_and_removal_is_judged_anew(state: Path, tmp_path: Path) -> None:
    assert state / "keys.db" in listing(state, STATE).ours
    (state / "keys.db").unlink()
    (tmp_path / "theirs").write_text("theirs")
    (state / "keys.db").symlink_to(tmp_path / "theirs")
    remove(state, STATE)
    assert (tmp_path / "theirs").read_text() == "theirs"
    assert (state / "keys.db").is_symlink()


def test_another_users_folder_is_left(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 4242)
    assert remove(state, STATE).foreign == (state,)
    assert (state / "keys.db").exists()


def test_nothing_where_there_is_nothing(tmp_path: Path) -> None:
    assert listing(tmp_path / "none", STATE) == remove(tmp_path / "none", STATE)
    assert listing(tmp_path / "none", STATE).ours == ()


def test_a_folder_can_be_kept(state: Path) -> None:
    remove(state, STATE.without("audit"))
    assert [path.name for path in state.iterdir()] == ["audit"]


def test_what_was_written_for_programs_goes(state: Path) -> None:
    """`run --print-env` keeps its files, the user's own wgetrc with a password in it among them."""
    folder = state / "clients"
    folder.mkdir()
    write_trust(folder, Authority.create().pem.decode(), {})
    assert (folder / "wgetrc").exists()
    assert remove(state, STATE).foreign == ()
    assert not state.exists()
