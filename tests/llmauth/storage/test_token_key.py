"""R4: the key of placeholder tokens, made once by whoever comes first, private, and refused when it is not."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from llmauth.storage import private_key
from llmauth.storage.home import StateUnsafe, StateUnusable
from llmauth.storage.private_key import LENGTH
from llmauth.storage.token_key import FILE, load_or_create


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    return folder


@pytest.mark.parametrize("umask", [0o077, 0o022, 0o000])
def test_it_is_made_private_and_alone(folder: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        load_or_create(folder)
    finally:
        os.umask(before)
    assert os.listdir(folder) == [FILE]
    found = (folder / FILE).stat()
    assert (found.st_mode & 0o777, found.st_size) == (0o600, LENGTH)


def test_a_restart_finds_the_same(folder: Path) -> None:
    assert load_or_create(folder) == load_or_create(folder)


def test_another_folder_has_another(folder: Path, tmp_path: Path) -> None:
    assert load_or_create(folder) != load_or_create(tmp_path)


def test_it_is_never_shown(folder: Path) -> None:
    key = load_or_create(folder)
    assert key.reveal() not in f"{key} {key!r}"
    assert len(bytes.fromhex(key.reveal())) == LENGTH


def test_whoever_is_second_takes_the_first_ones(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers start at once, and both have seen that there is none."""
    make = private_key._create

    def late(path: Path) -> None:
        make(path)
        make(path)

    monkeypatch.setattr(private_key, "_create", late)
    first = load_or_create(folder)
    assert first == load_or_create(folder)
    assert os.listdir(folder) == [FILE]


def test_processes_that_start_at_once_agree(folder: Path) -> None:
    load = "load_or_create(pathlib.Path(sys.argv[1]))"
    code = f"import pathlib, sys; from llmauth.storage.token_key import load_or_create; print({load}.fingerprint())"

    def start(_: int) -> str:
        return subprocess.run(
            [sys.executable, "-c", code, str(folder)], check=True, capture_output=True, text=True, timeout=30
        ).stdout

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(start, range(4)))) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666, 0o644, 0o610])
def test_a_key_that_others_can_read_is_refused(folder: Path, mode: int) -> None:
    load_or_create(folder)
    (folder / FILE).chmod(mode)
    with pytest.raises(StateUnsafe, match=f"mode {mode:04o}.*chmod 600"):
        load_or_create(folder)


@pytest.mark.parametrize("content", [b"", b"x" * (LENGTH - 1), b"x" * (LENGTH + 1)])
def test_what_is_no_key_is_refused_and_kept(folder: Path, content: bytes) -> None:
    """A short one could be guessed."""
    (folder / FILE).write_bytes(content)
    (folder / FILE).chmod(0o600)
    with pytest.raises(StateUnusable, match="Remove it"):
        load_or_create(folder)
    assert (folder / FILE).read_bytes() == content


def test_a_folder_in_its_place_is_a_sentence(folder: Path) -> None:
    (folder / FILE).mkdir(mode=0o700)
    with pytest.raises(StateUnusable, match=r"token\.key cannot be used"):
        load_or_create(folder)


def test_a_folder_that_is_not_there_is_a_sentence(folder: Path) -> None:
    with pytest.raises(StateUnusable, match="cannot be used"):
        load_or_create(folder / "missing")
