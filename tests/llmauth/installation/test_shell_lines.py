"""The line of our completion goes out of a shell's file, and every other byte stays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llmauth.installation.shell_lines import LINES, found, take_out

BASH = LINES["bash"]


def test_only_the_line_goes(tmp_path: Path) -> None:
    file = tmp_path / ".bashrc"
    before = f"alias x=y\r\n  {BASH}  \n# {BASH}\necho '{BASH}'\n\xff\nlast".encode("latin-1")
    file.write_bytes(before)
    file.chmod(0o640)
    assert found(tmp_path) == (file,)
    assert take_out(file)
    assert file.read_bytes() == before.replace(f"  {BASH}  \n".encode(), b"", 1)
    assert file.stat().st_mode & 0o777 == 0o640
    assert found(tmp_path) == ()
    assert not take_out(file)
    assert [path.name for path in tmp_path.iterdir()] == [".bashrc"]


def test_a_link_is_shown_and_not_touched(tmp_path: Path) -> None:
    real = tmp_path / "dotfiles"
    real.write_text(f"{BASH}\n")
    (tmp_path / ".bashrc").symlink_to(real)
    assert found(tmp_path) == (tmp_path / ".bashrc",)
    assert not take_out(tmp_path / ".bashrc")
    assert real.read_text() == f"{BASH}\n"


@pytest.mark.parametrize("text", ["", "eval something", f"if true; then {BASH}; fi\n"])
def test_what_is_not_that_line_is_not_found(tmp_path: Path, text: str) -> None:
    (tmp_path / ".zshrc").write_text(text)
    assert found(tmp_path) == ()


@pytest.mark.timeout(5)
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".bashrc")
    assert found(tmp_path) == ()
    assert not take_out(tmp_path / ".bashrc")
