"""R7: what must be readable again opens with its key, in its own record, and nowhere else."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from llmauth.secrets import Secret
from llmauth.storage.home import StateUnsafe, StateUnusable
from llmauth.storage.sealing import HEAD_LENGTH, SealingKey

SECRET = Secret("JBSWY3DPEHPK3PXP")


def mounted(tmp_path: Path, content: bytes = b"k" * 32, mode: int = 0o600) -> SealingKey:
    file = tmp_path / "mounted"
    file.write_bytes(content)
    file.chmod(mode)
    return SealingKey(None, file)


@pytest.fixture
def sealing(home: Path) -> SealingKey:
    key = SealingKey(home)
    key.require(())
    return key


def test_what_is_sealed_opens_after_a_restart(sealing, home):
    sealed = sealing.seal(SECRET, "keys", "id")
    assert SECRET.reveal() not in sealed
    assert SealingKey(home).open(sealed, "keys", "id") == SECRET


def test_no_two_sealings_are_the_same(sealing):
    assert len({sealing.seal(SECRET, "keys", "id") for _ in range(100)}) == 100


@pytest.mark.parametrize(("table", "record"), [("keys", "other"), ("factors", "id"), ("keysid", ""), ("keys\0id", "")])
def test_in_another_place_it_does_not_open(sealing, table, record):
    sealed = sealing.seal(SECRET, "keys", "id")
    with pytest.raises(StateUnusable, match="belongs to another record"):
        sealing.open(sealed, table, record)


def test_every_changed_bit_is_noticed(sealing):
    head, _, body = sealing.seal(SECRET, "keys", "id").rpartition(":")
    raw = base64.b64decode(body)
    for place in range(len(raw)):
        changed = bytes([*raw[:place], raw[place] ^ 1, *raw[place + 1 :]])
        with pytest.raises(StateUnusable, match="was changed"):
            sealing.open(f"{head}:{base64.b64encode(changed).decode()}", "keys", "id")


@pytest.mark.parametrize("body", ["", "AAAA", "not base64!", "AAAAAAAAAAAAAAAA", "é"])
def test_what_is_no_sealed_text_is_a_sentence(sealing, body):
    head = sealing.seal(SECRET, "keys", "id")[:HEAD_LENGTH]
    with pytest.raises(StateUnusable, match="was changed"):
        sealing.open(f"{head}:{body}", "keys", "id")
    with pytest.raises(StateUnusable, match="another key"):
        sealing.open(body, "keys", "id")


def test_our_own_key_is_made_private_when_it_is_first_needed(home):
    key = SealingKey(home)
    assert not home.exists()
    before = os.umask(0)
    try:
        key.require(())
    finally:
        os.umask(before)
    assert [(file.name, file.stat().st_mode & 0o777, file.stat().st_size) for file in home.iterdir()] == [
        ("sealing.key", 0o600, 32)
    ]


def test_no_new_key_is_made_where_something_is_sealed(sealing, home):
    head = sealing.seal(SECRET, "keys", "id")[:HEAD_LENGTH]
    (home / "sealing.key").unlink()
    late = SealingKey(home)
    for call in (lambda: late.require({head}), lambda: late.seal(SECRET, "t", "r"), lambda: late.open(head, "t", "r")):
        with pytest.raises(StateUnusable, match=r"sealing\.key is missing.*If it is lost"):
            call()
    assert not list(home.iterdir())


def test_another_key_is_told_by_the_head(sealing, tmp_path):
    sealed = sealing.seal(SECRET, "keys", "id")
    other = mounted(tmp_path)
    with pytest.raises(StateUnusable, match="another key than that of"):
        other.open(sealed, "keys", "id")
    with pytest.raises(StateUnusable, match="another key than that of"):
        other.require({sealed[:HEAD_LENGTH]})
    other.require({other.seal(SECRET, "keys", "id")[:HEAD_LENGTH]})


def test_the_head_does_not_tell_the_key(sealing, home):
    head = sealing.seal(SECRET, "keys", "id")[:HEAD_LENGTH]
    assert (home / "sealing.key").read_bytes().hex()[:8] not in head


def test_a_mounted_key_comes_before_our_own_and_is_never_made(home, tmp_path):
    missing = SealingKey(home, tmp_path / "not there")
    with pytest.raises(StateUnusable, match="not there is missing"):
        missing.require(())
    assert not home.exists()
    (tmp_path / "not there").write_bytes(b"k" * 32)
    (tmp_path / "not there").chmod(0o600)
    missing.require(())
    assert not home.exists()


@pytest.mark.parametrize(
    "content",
    [b"k" * 32, b"6b" * 32, b"6B" * 32 + b"\n", base64.b64encode(b"k" * 32), b" " + base64.b64encode(b"k" * 32)],
)
def test_a_mounted_key_may_be_written_as_text(tmp_path, content):
    sealed = mounted(tmp_path).seal(SECRET, "keys", "id")
    assert mounted(tmp_path, content).open(sealed, "keys", "id") == SECRET


@pytest.mark.parametrize(
    "content", [b"", b"k" * 31, b"k" * 33, b"6b" * 31, b"6b" * 33, b"g" * 64, b"k" * 300, b"\xff" * 64]
)
def test_what_is_no_key_is_refused(tmp_path, content):
    with pytest.raises(StateUnusable, match="openssl rand -hex 32"):
        mounted(tmp_path, content).require(())


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_that_others_can_read_is_refused(tmp_path, home, mode):
    with pytest.raises(StateUnsafe, match=f"mode {mode:04o}.*chmod 600"):
        mounted(tmp_path, mode=mode).require(())
    SealingKey(home).require(())
    (home / "sealing.key").chmod(mode)
    with pytest.raises(StateUnsafe, match=f"mode {mode:04o}"):
        SealingKey(home).require(())


def test_a_folder_in_its_place_is_a_sentence(tmp_path):
    with pytest.raises(StateUnusable, match="cannot be read"):
        SealingKey(None, tmp_path).require(())


def test_without_any_place_it_says_which_there_are():
    with pytest.raises(StateUnusable, match=r"LLMAUTH_SEALING_KEY_FILE.*sealing_key_file"):
        SealingKey(None).require(())


def test_no_sentence_tells_the_key(tmp_path):
    with pytest.raises(StateUnusable) as error:
        mounted(tmp_path, b"canary" * 4).require(())
    assert "canary" not in str(error.value)
    assert "kkkk" not in repr(vars(mounted(tmp_path)))
