from __future__ import annotations

import os
from pathlib import Path

import pytest

from llmauth.durable import sync_folder


def test_the_folder_itself_is_synced_and_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[int, int]] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append((descriptor, os.fstat(descriptor).st_ino))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    sync_folder(tmp_path)
    ((descriptor, inode),) = synced
    assert inode == tmp_path.stat().st_ino
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sync_folder(tmp_path / "nowhere")
