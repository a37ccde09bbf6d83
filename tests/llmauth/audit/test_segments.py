"""R5: a file goes on where its head says, and whoever holds it notices when it is no longer his."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from llmauth.audit import segments
from llmauth.audit.chain import next_line
from llmauth.audit.heads import Signer, head_of
from llmauth.audit.records import facts
from llmauth.audit.segments import OutOfPlace, Segment, begin, entry, is_name, new_name, starting
from llmauth.secrets import Secret
from llmauth.storage.home import StateUnusable
from tests.fixtures.audits import decided, told_in

SIGNER = Signer(Secret("ab" * 32))
NAME = "a.jsonl"


def made(home: Path) -> Segment:
    return begin(home, SIGNER, starting(NAME, "start"), 1.0)


def add(segment: Segment) -> None:
    segment.append(*next_line(segment.link, facts(decided()), 2.0))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


def test_the_first_record_names_its_file(home: Path) -> None:
    segment = made(home)
    told = told_in((home / "audit" / NAME).read_bytes())
    assert (told["kind"], told["file"], told["cause"], told["process"]) == ("start", NAME, "start", os.getpid())
    assert segment.entry == entry(NAME, segment.link) == f"{NAME} 1 {told['hash']}"


def test_its_head_follows_every_line(home: Path) -> None:
    segment = made(home)
    for _ in range(3):
        add(segment)
        assert SIGNER.read(head_of(home, NAME)).link == segment.link
    assert segment.link.length == (home / "audit" / NAME).stat().st_size


def test_it_goes_on_where_its_head_says(home: Path) -> None:
    segment = made(home)
    add(segment)
    segment.close()
    with (home / "audit" / NAME).open("ab") as file:
        file.write(b'{"at":1,"half')
    again = Segment.resume(home, NAME, SIGNER)
    assert again.link == segment.link
    add(again)
    assert (home / "audit" / NAME).read_bytes().count(b"\n") == 3


@pytest.mark.parametrize("rest", [b"", b'{"at":1,"half', "one record"])
def test_what_one_command_left_behind_its_head_is_taken_off(home: Path, rest: bytes | str) -> None:
    segment = made(home)
    segment.close()
    line, _ = next_line(segment.link, facts(decided("unconfirmed")), 2.0)
    with (home / "audit" / NAME).open("ab") as file:
        file.write(line if isinstance(rest, str) else rest)
    add(Segment.resume(home, NAME, SIGNER))
    assert b"unconfirmed" not in (home / "audit" / NAME).read_bytes()


def test_a_head_of_before_makes_nobody_take_off_what_was_signed(home: Path) -> None:
    segment = made(home)
    before = head_of(home, NAME).read_bytes()
    add(segment)
    add(segment)
    segment.close()
    content = (home / "audit" / NAME).read_bytes()
    head_of(home, NAME).write_bytes(before)
    with pytest.raises(StateUnusable, match="goes on behind its signed head"):
        Segment.resume(home, NAME, SIGNER)
    assert (home / "audit" / NAME).read_bytes() == content


def test_a_commit_that_failed_once_is_never_said_to_be_done(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """fsync(2) tells of a lost page once."""
    segment, real = made(home), os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    with pytest.raises(OSError):
        segment.sync()
    monkeypatch.setattr(os, "fsync", real)
    with pytest.raises(OSError, match="Input/output error"):
        segment.sync()


def test_a_head_that_is_half_written_is_a_failure(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segment = made(home)
    before = (home / "audit" / NAME).read_bytes()
    monkeypatch.setattr(os, "pwrite", lambda *arguments: 10)
    with pytest.raises(OSError):
        add(segment)
    assert (home / "audit" / NAME).read_bytes() == before


@pytest.mark.parametrize("harm", ["cut", "edit", "head", "key"])
def test_it_does_not_go_on_after_a_change(home: Path, harm: str) -> None:
    segment = made(home)
    add(segment)
    segment.close()
    file, signer = home / "audit" / NAME, SIGNER
    if harm == "cut":
        os.truncate(file, segment.link.length - 1)
    elif harm == "edit":
        file.write_bytes(file.read_bytes().replace(segment.link.hash.encode(), b"0" * 64))
    elif harm == "head":
        head_of(home, NAME).write_bytes(b"x")
    else:
        signer = Signer(Secret("cd" * 32))
    with pytest.raises(StateUnusable, match="audit verify"):
        Segment.resume(home, NAME, signer)


@pytest.mark.parametrize("harm", ["gone", "renamed", "replaced", "longer", "head gone"])
def test_it_notices_when_it_is_written_to_nobody(home: Path, harm: str) -> None:
    segment = made(home)
    file = home / "audit" / NAME
    if harm == "gone":
        file.unlink()
    elif harm == "renamed":
        file.rename(home / "audit" / "b.jsonl")
    elif harm == "replaced":
        content = file.read_bytes()
        file.rename(home / "other")
        file.write_bytes(content)
    elif harm == "longer":
        with file.open("ab") as opened:
            opened.write(b"x")
    else:
        head_of(home, NAME).unlink()
    with pytest.raises(OutOfPlace):
        add(segment)


def test_what_was_half_written_is_cut_off(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segment = made(home)
    before = (home / "audit" / NAME).read_bytes()
    monkeypatch.setattr(os, "pwrite", lambda *arguments: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError):
        add(segment)
    assert (home / "audit" / NAME).read_bytes() == before


def test_a_file_of_that_name_is_never_written_over(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "_TRIES", 3)
    made(home)
    with pytest.raises(StateUnusable, match="held by another process"):
        made(home)


def test_names_tell_moment_and_process_and_are_plain() -> None:
    name = new_name(1_800_000_000.25)
    assert re.fullmatch(rf"20270115T080000250Z-{os.getpid()}-[0-9a-f]{{8}}\.jsonl", name)
    assert is_name(name)
    assert not any(map(is_name, ["../x.jsonl", ".x.jsonl", "a b.jsonl", "x.txt", "x.jsonl\n", ""]))
