"""R5: heads are signed, and of one length, so that they can be written over in place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llmauth.audit.chain import BEGINNING, Link
from llmauth.audit.heads import Signer, content_of, head_of, signer_for
from llmauth.secrets import Secret
from llmauth.storage.home import StateUnusable

SIGNER = Signer(Secret("ab" * 32))
NAME = "20260101T000000Z-1-aa.jsonl"


def test_a_head_is_read_as_it_was_written(tmp_path: Path) -> None:
    link = Link(seq=7, hash="c" * 64, length=1234)
    (tmp_path / "x.head").write_bytes(SIGNER.line(NAME, link))
    head = SIGNER.read(tmp_path / "x.head")
    assert (head.file, head.link, head.genuine) == (NAME, link, True)


def test_the_first_says_nothing_and_is_private(tmp_path: Path) -> None:
    SIGNER.create(tmp_path / "x.head", NAME)
    assert SIGNER.read(tmp_path / "x.head").link == BEGINNING
    assert (tmp_path / "x.head").stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["x.head"]
    with pytest.raises(FileExistsError):
        SIGNER.create(tmp_path / "x.head", NAME)


def test_every_changed_byte_is_found(tmp_path: Path) -> None:
    line = SIGNER.line(NAME, Link(seq=7, hash="c" * 64, length=1234))
    path = tmp_path / "x.head"
    for at in range(len(line)):
        path.write_bytes(line[:at] + bytes([line[at] ^ 1]) + line[at + 1 :])
        head = SIGNER._read(path)
        assert head is None or not head.genuine, at


def test_another_key_has_another_signature(tmp_path: Path) -> None:
    (tmp_path / "x.head").write_bytes(Signer(Secret("cd" * 32)).line(NAME, BEGINNING))
    assert not SIGNER.read(tmp_path / "x.head").genuine


@pytest.mark.parametrize("content", [b"", b"x", b"\xff" * 5000, b"a 1 2 3\n"])
def test_garbage_is_no_head(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.head").write_bytes(content)
    assert SIGNER.read(tmp_path / "x.head") is None


def test_all_are_of_one_length() -> None:
    assert len(SIGNER.line(NAME, BEGINNING)) == len(SIGNER.line(NAME, Link(10**15, "f" * 64, 10**18)))


def test_links_are_not_followed_and_a_pipe_keeps_nobody(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/hostname")
    with pytest.raises(OSError):
        content_of(tmp_path / "link")
    os.mkfifo(tmp_path / "pipe")
    assert content_of(tmp_path / "pipe") == b""


def test_its_place_is_beside_the_records(tmp_path: Path) -> None:
    assert head_of(tmp_path, NAME) == tmp_path / "heads" / "20260101T000000Z-1-aa.head"


def test_a_key_that_is_gone_is_not_replaced(tmp_path: Path) -> None:
    """Whoever takes it away would make everything so far unprovable, and nobody would notice."""
    signer_for(tmp_path)
    (tmp_path / "heads").mkdir()
    SIGNER.create(head_of(tmp_path, NAME), NAME)
    signer_for(tmp_path)
    (tmp_path / "audit.key").unlink()
    with pytest.raises(StateUnusable, match=r"is gone, which signed .* Put the right one back"):
        signer_for(tmp_path)
    assert not (tmp_path / "audit.key").exists()
