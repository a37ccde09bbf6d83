"""The state folder as it may lie on a machine: none yet, open to others, full, with a record that was changed."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from llmauth.audit.records import Administered
from llmauth.audit.writer import AuditLog
from llmauth.clock import SystemClock
from llmauth.doctor.state import examine
from llmauth.storage.keys import KeyStore
from tests.llmauth.doctor.conftest import Make

_Usage = namedtuple("_Usage", "total used free")


def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    return folder


def test_nothing_is_made_by_looking(patient: Make, tmp_path: Path) -> None:
    assert [one.verdict for one in examine(patient())] == ["skip"]
    assert not (tmp_path / "home").exists()
    home(tmp_path)
    assert [one.verdict for one in examine(patient())] == ["ok", "ok", "skip", "skip"]
    assert list((tmp_path / "home").iterdir()) == []


def test_a_folder_that_others_may_open_is_told_with_the_command(patient: Make, tmp_path: Path) -> None:
    home(tmp_path).chmod(0o755)
    first = next(iter(examine(patient())))
    assert (first.verdict, first.fix) == ("fail", f"chmod 700 {tmp_path / 'home'}")


def test_a_disk_that_is_full_is_a_fault(patient: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home(tmp_path)
    verdicts = []
    for free in (10 * 1024**2, 500 * 1024**2, 5 * 1024**3):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: _Usage(1, 1, free))
        verdicts.append(
            [one.verdict for one in examine(patient()) if "free for state" in one.what or "GiB free" in one.what]
        )
    assert verdicts == [["fail"], ["warn"], ["ok"]]


def test_keys_that_cannot_be_opened_are_told_of(patient: Make, tmp_path: Path) -> None:
    file = home(tmp_path) / "keys.db"
    store = KeyStore(file)
    store.create("alice")
    store.close()
    assert any("1 key)" in one.what for one in examine(patient()))
    file.write_bytes(b"no database at all, but long enough to be taken for a header of one")
    assert any(one.verdict == "fail" and one.what.startswith("key store") for one in examine(patient()))


async def test_a_record_that_was_edited_is_found(patient: Make, tmp_path: Path) -> None:
    folder = home(tmp_path)
    log = AuditLog(folder, SystemClock())
    log.start()
    told = Administered(action="key created", by="cli:test", subject="k", user="alice", name="alice")
    await log.note(told, durable=True).wait()
    log.stop()
    assert any(one.what.startswith("audit record whole") for one in examine(patient()))
    (file,) = (folder / "audit").glob("*.jsonl")
    file.write_bytes(file.read_bytes().replace(b"alice", b"mallo"))
    found = [one for one in examine(patient()) if one.verdict == "fail"]
    assert [one.fix for one in found] == ["llmauth audit verify"]
