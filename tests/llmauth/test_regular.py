"""A file that a user names is read at once, or refused at once: a pipe without a writer keeps nobody waiting."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llmauth.regular import read_regular


def test_a_file_and_what_leads_to_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"1234")
    (tmp_path / "link").symlink_to("file")
    assert read_regular(tmp_path / "file", 4) == read_regular(tmp_path / "link") == b"1234"


@pytest.mark.timeout(5)
def test_a_pipe_a_device_a_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(OSError, match="is no regular file") as refusal:
            read_regular(path)
        assert refusal.value.strerror == "is no regular file"
    with pytest.raises(IsADirectoryError):
        read_regular(tmp_path)


def test_too_large(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    with pytest.raises(OSError, match="larger than 4 bytes"):
        read_regular(tmp_path / "file", 4)


def test_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "file")


def test_what_is_refused_is_closed(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for _ in range(5):
        with pytest.raises(OSError, match="Is a directory"):
            read_regular(tmp_path)
    assert (len(os.listdir("/proc/self/fd")) if before else 0) == before
