"""R5: one record of a command, on the disk before the command says that it is done."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from llmauth.audit import shared
from llmauth.audit.heads import KEY, Signer
from llmauth.audit.shared import append_once
from llmauth.audit.verify import verify
from llmauth.storage.home import StateError, StateUnusable
from tests.fixtures.audits import administered, counting, lines_in, running

MANY = """
import sys
from pathlib import Path
from llmauth.audit.shared import append_once
from tests.fixtures.audits import administered
for number in range(20):
    append_once(Path(sys.argv[1]), administered(subject=sys.argv[2] + str(number)))
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def test_commands_share_one_file(home: Path) -> None:
    for action in ("key.create", "key.revoke", "key.rotate"):
        append_once(home, administered(action))
    assert [told.get("action", "start") for told in lines_in(home)] == [
        "start",
        "key.create",
        "key.revoke",
        "key.rotate",
    ]
    assert [path.name for path in (home / "audit").glob("*.jsonl")] == ["cli.jsonl"]
    assert verify(home).faults == ()


def test_it_is_on_the_disk(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    append_once(home, administered())
    monkeypatch.setattr(os, "fsync", counting(synced))
    append_once(home, administered())
    assert len(synced) >= 2


def test_commands_at_once_take_turns(home: Path) -> None:
    def run(who: str) -> None:
        subprocess.run([sys.executable, "-c", MANY, str(home), who], check=True, timeout=60)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, "abcd"))
    assert {told.get("subject") for told in lines_in(home)} >= {
        f"{who}{number}" for who in "abcd" for number in range(20)
    }
    found = verify(home)
    assert (found.files, found.records, found.faults) == (1, 81, ())


def test_one_that_was_killed_half_way_is_no_hindrance(home: Path) -> None:
    append_once(home, administered("first"))
    with (home / "audit" / "cli.jsonl").open("ab") as file:
        file.write(b'{"action":"never ack')
    append_once(home, administered("second"))
    assert [told.get("action") for told in lines_in(home)] == [None, "first", "second"]
    assert verify(home).faults == ()


def test_one_that_was_killed_as_it_began_is_no_hindrance(home: Path) -> None:
    append_once(home, administered("x"))
    head = home / "heads" / "cli.head"
    head.unlink()
    Signer(KEY.load_or_create(home)).create(head, "cli.jsonl")
    append_once(home, administered("first"))
    assert [told.get("action") for told in lines_in(home)] == [None, "first"]
    assert verify(home).faults == ()


@pytest.mark.parametrize("harm", ["cut", "gone", "head", "head gone", "head of before"])
def test_who_changed_the_file_keeps_nobody_from_revoking(home: Path, harm: str) -> None:
    """The record goes on in another file, and the change is found."""
    append_once(home, administered("first"))
    file, head = home / "audit" / "cli.jsonl", home / "heads" / "cli.head"
    before = head.read_bytes()
    for action in ("second", "third"):
        append_once(home, administered(action))
    if harm == "cut":
        os.truncate(file, 100)
    elif harm == "gone":
        file.unlink()
    elif harm == "head":
        head.write_bytes(b"x")
    elif harm == "head gone":
        head.unlink()
    else:
        head.write_bytes(before)
    append_once(home, administered("key.revoke"))
    (other,) = (home / "audit").glob("2*.jsonl")
    assert "key.revoke" in other.read_text()
    assert "cli.jsonl" in {fault.file for fault in verify(home).faults}


def test_where_it_cannot_be_written_the_command_fails(home: Path) -> None:
    home.mkdir(mode=0o700)
    (home / "audit").write_text("a file in its place")
    with pytest.raises(StateError):
        append_once(home, administered())


def test_a_lock_that_is_held_is_a_sentence(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append_once(home, administered())
    monkeypatch.setattr(shared, "_PATIENCE", 0.1)
    with shared._alone(home / "audit" / ".cli.lock"), pytest.raises(StateUnusable, match="held by another process"):
        append_once(home, administered())


def test_a_server_that_starts_and_runs_is_no_hindrance(home: Path) -> None:
    append_once(home, administered("before"))
    with running(home):
        append_once(home, administered("meanwhile"))
        with running(home):
            append_once(home, administered("later"))
    assert verify(home).faults == ()
