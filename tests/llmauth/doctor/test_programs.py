"""Agents that were started without a proxy are named, with the way in which they should be started."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmauth.doctor import programs
from tests.llmauth.doctor.conftest import Make


def process(folder: Path, number: int, name: str, environ: bytes) -> None:
    place = folder / str(number)
    place.mkdir(parents=True)
    (place / "comm").write_text(f"{name}\n")
    (place / "environ").write_bytes(environ)


def test_one_without_the_variable_is_told_and_others_are_not(
    patient: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proc = tmp_path / "proc"
    process(proc, 11, "claude", b"HOME=/home/me\0KEY=sk-canary")
    process(proc, 12, "claude", b"HTTPS_PROXY=http://127.0.0.1:8080\0")
    process(proc, 13, "bash", b"")
    monkeypatch.setattr(programs, "_PROC", proc)
    monkeypatch.setattr("sys.platform", "linux")
    (found,) = programs.examine(patient())
    assert found.what == "Claude (process 11) was started without proxy variables"
    assert "llmauth run -- claude" in (found.fix or "")
    assert "canary" not in str(found)
