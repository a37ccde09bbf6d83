"""R4: the state folder, where it is and who may look into it."""

import os
from pathlib import Path

import pytest

from llmauth.storage.home import StateUnsafe, StateUnusable, prepare, require_private, state_folder


@pytest.mark.parametrize(
    ("environ", "platform", "folder"),
    [
        ({"HOME": "/home/u"}, "linux", "/home/u/.local/state/llmauth"),
        ({"HOME": "/home/u", "LLMAUTH_HOME": ""}, "linux", "/home/u/.local/state/llmauth"),
        ({"HOME": "/home/u", "XDG_STATE_HOME": "/s"}, "linux", "/s/llmauth"),
        ({"HOME": "/home/u", "XDG_STATE_HOME": "relative"}, "linux", "/home/u/.local/state/llmauth"),
        ({"HOME": "/Users/u", "XDG_STATE_HOME": "/s"}, "darwin", "/Users/u/Library/Application Support/llmauth"),
        ({"HOME": "/home/u", "XDG_STATE_HOME": "/s", "LLMAUTH_HOME": "/l"}, "linux", "/l"),
    ],
)
def test_where_it_is(environ, platform, folder):
    assert state_folder(environ, platform) == Path(folder)


def test_a_relative_home_is_of_the_working_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert state_folder({"LLMAUTH_HOME": "here"}) == tmp_path / "here"


def test_it_is_made_for_its_owner_alone_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        folder = prepare(tmp_path / "a" / "state")
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert prepare(folder) == folder


@pytest.mark.parametrize("mode", [0o750, 0o701, 0o755, 0o720])
def test_a_wider_folder_is_refused_with_the_command_that_mends_it(tmp_path, mode):
    folder = tmp_path / "my state"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(StateUnsafe) as error:
        prepare(folder)
    assert f"chmod 700 '{folder}'" in str(error.value)
    assert f"{mode:04o}" in str(error.value)


def test_a_wider_file_is_refused_with_the_command_that_mends_it(tmp_path):
    file = tmp_path / "keys.db"
    file.touch()
    file.chmod(0o640)
    with pytest.raises(StateUnsafe, match=f"chmod 600 {file}"):
        require_private(file)


def test_a_file_in_its_place_is_said_plainly(tmp_path):
    (tmp_path / "state").touch()
    with pytest.raises(StateUnusable, match="is not a folder"):
        prepare(tmp_path / "state")
    with pytest.raises(StateUnusable, match="is not a folder"):
        prepare(tmp_path / "state" / "below")


def test_a_place_that_may_not_be_written_is_said_plainly():
    with pytest.raises(StateUnusable, match="LLMAUTH_HOME"):
        prepare(Path("/proc/llmauth"))
