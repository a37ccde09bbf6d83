"""The folder of a run is private, gone afterwards, and swept up where a run was killed."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from llmauth.clients.folders import private_folder


@pytest.fixture(autouse=True)
def somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_it_is_private_and_goes_with_all_that_is_in_it(tmp_path: Path) -> None:
    with private_folder() as folder:
        (folder / "file").touch()
        assert (folder.stat().st_mode & 0o777, folder.parent) == (0o700, tmp_path)
    assert not any(tmp_path.iterdir())


def test_what_killed_runs_left_is_swept_up_and_nothing_else(tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as dead:
        dead.wait()
    gone = tmp_path / f"llmauth-run-{dead.pid}-abc"
    kept = [tmp_path / f"llmauth-run-{os.getpid()}-abc", tmp_path / "llmauth-run-notes", tmp_path / "elsewhere"]
    for folder in (gone, *kept):
        folder.mkdir()
    link = tmp_path / f"llmauth-run-{dead.pid}-link"
    link.symlink_to(tmp_path / "elsewhere")
    with private_folder():
        assert not gone.exists()
    assert all(folder.exists() for folder in (*kept, link))
