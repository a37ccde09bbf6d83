"""What is written is whole, private, over nobody's work, and known again."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmauth.installation.profiles import MARK
from llmauth.installation.written import AlreadyThere, draft, is_ours, remember, remembered, settle


def test_a_file_is_written_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "config.yaml"
    with draft(path, f"{MARK}\n") as new:
        settle(new, path, force=False)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    with draft(path, "other") as new, pytest.raises(AlreadyThere, match="--force writes it anew"):
        settle(new, path, force=False)
    assert path.read_text() == f"{MARK}\n"
    with draft(path, "other") as new:
        settle(new, path, force=True)
    assert path.read_text() == "other"
    assert [one.name for one in path.parent.iterdir()] == ["config.yaml"]


@pytest.mark.parametrize("force", [False, True])
def test_nothing_is_written_through_a_link(tmp_path: Path, force: bool) -> None:
    target, path = tmp_path / "precious", tmp_path / "config.yaml"
    for there in (True, False):
        if there:
            target.write_text("theirs")
        else:
            target.unlink()
        path.unlink(missing_ok=True)
        path.symlink_to(target)
        with draft(path, "ours") as new:
            if force:
                settle(new, path, force=True)
            else:
                with pytest.raises(AlreadyThere):
                    settle(new, path, force=False)
        assert target.exists() is there
        assert not there or target.read_text() == "theirs"


def test_ours_is_known_by_its_first_line(tmp_path: Path) -> None:
    ours, theirs, link, pipe = (tmp_path / name for name in ("ours", "theirs", "link", "folder"))
    ours.write_text(f"{MARK} (profile laptop).\nchanged: since\n")
    theirs.write_text("instances: {}\n")
    link.symlink_to(ours)
    pipe.mkdir()
    assert [is_ours(one) for one in (ours, theirs, link, pipe, tmp_path / "none")] == [True, False, False, False, False]


def test_what_was_written_is_remembered(tmp_path: Path) -> None:
    assert remembered(tmp_path) == ()
    for name in ("b", "a", "b"):
        remember(tmp_path, tmp_path / name)
    assert remembered(tmp_path) == (tmp_path / "a", tmp_path / "b")
    (tmp_path / "installed.json").write_text("[")
    assert remembered(tmp_path) == ()
