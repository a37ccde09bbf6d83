"""R5: one verification over all files; what it says of each fault. A thousand changes more: test_tampering.py."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from llmauth.audit.chain import Link, next_line
from llmauth.audit.heads import KEY, Signer, head_of
from llmauth.audit.records import facts
from llmauth.audit.segments import MOST_UNSIGNED, Segment, begin, entry, starting
from llmauth.audit.survey import Named
from llmauth.audit.verify import Fault, Verified, lines_of, verify, verify_newest
from tests.fixtures.audits import decided, running, told_in

NAME = "20260101T000000Z-1-aa.jsonl"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


def left(home: Path, count: int = 5, name: str = NAME) -> Segment:
    """A file that a killed process left."""
    segment = begin(home, Signer(KEY.load_or_create(home)), starting(name, "start"), 1.0)
    for number in range(count):
        segment.append(*next_line(segment.link, facts(decided(f"r-{number}")), 2.0))
    segment.close()
    return segment


def only_fault(home: Path) -> Fault:
    (fault,) = verify(home).faults
    return fault


def change(home: Path, old: bytes, new: bytes, name: str = NAME) -> None:
    file = home / "audit" / name
    content = file.read_bytes()
    assert old in content
    file.write_bytes(content.replace(old, new))


def test_nothing_yet_is_no_fault(home: Path) -> None:
    assert verify(home) == Verified(files=0, records=0, unsigned=0, faults=(), heads=())
    assert os.listdir(home) == [], "to look makes nothing"


def test_what_is_whole_is_counted_and_its_heads_told(home: Path) -> None:
    segment = left(home)
    found = verify(home)
    assert (found.files, found.records, found.unsigned, found.faults) == (1, 6, 0, ())
    assert found.heads == ((NAME, 6, segment.link.hash, 6),)


def test_a_fault_names_file_and_line(home: Path) -> None:
    left(home)
    change(home, b"r-2", b"r-9")
    fault = only_fault(home)
    assert (fault.file, fault.line, fault.what) == (NAME, 4, "edited")
    assert str(fault).startswith(f"{NAME}:4: edited. This record was changed")


def test_a_half_written_line_behind_the_head_is_what_a_killed_process_leaves(home: Path) -> None:
    left(home)
    with (home / "audit" / NAME).open("ab") as file:
        file.write(b'{"at":12,"dec')
    assert verify(home).faults == ()


def test_a_half_written_line_before_the_head_is_a_cut(home: Path) -> None:
    segment = left(home)
    os.truncate(home / "audit" / NAME, segment.link.length - 20)
    fault = only_fault(home)
    assert (fault.line, fault.what) == (6, "missing")
    assert "there was more: 6" in fault.sentence


def test_whole_lines_behind_the_head_are_counted_apart(home: Path) -> None:
    """Its process died between the write and the signature, so nobody was told that they are recorded."""
    segment = left(home)
    line, _ = next_line(segment.link, facts(decided()), 3.0)
    with (home / "audit" / NAME).open("ab") as file:
        file.write(line)
    found = verify(home)
    assert (found.records, found.unsigned, found.faults) == (6, 1, ())


def put_back(home: Path, head: bytes, name: str = NAME) -> bytes:
    """The head of before; gives the one that was there."""
    newer = head_of(home, name).read_bytes()
    head_of(home, name).write_bytes(head)
    return newer


def old_head(home: Path, signer: Signer, seq: int, name: str = NAME) -> bytes:
    """As it was when the file had so many records."""
    lines = (home / "audit" / name).read_bytes().splitlines(keepends=True)[:seq]
    return signer.line(name, Link(seq=seq, hash=told_in(lines[-1])["hash"], length=sum(map(len, lines))))


@pytest.mark.parametrize(("unsigned", "found"), [(MOST_UNSIGNED, False), (MOST_UNSIGNED + 1, True)])
def test_a_head_of_before_hides_no_more_than_one_group(home: Path, unsigned: int, found: bool) -> None:
    left(home, 100)
    put_back(home, old_head(home, Signer(KEY.load_or_create(home)), 101 - unsigned))
    faults = verify(home).faults
    assert [(fault.line, fault.what) for fault in faults] == [(102 - unsigned, "head rolled back")] * found


def test_a_head_of_before_is_found_where_its_process_ended_in_order(home: Path) -> None:
    with running(home) as log:
        log.note(decided()).wait_blocking()
    signer = Signer(KEY.load_or_create(home))
    put_back(home, old_head(home, signer, 1, log.file), log.file)
    assert (only_fault(home).line, only_fault(home).what) == (2, "head rolled back")


def test_a_head_of_before_is_found_where_a_start_saw_a_newer_one(home: Path) -> None:
    left(home)
    older = old_head(home, Signer(KEY.load_or_create(home)), 5)
    newer = put_back(home, older)
    assert verify(home).faults == (), "as if it had been killed between the write and the signature"
    put_back(home, newer)
    kept = verify(home).heads
    with running(home):
        pass
    put_back(home, older)
    fault = only_fault(home)
    assert (fault.file, fault.line, fault.what) == (NAME, 6, "head rolled back")
    assert [one.what for one in verify(home, kept).faults] == ["head rolled back"] * 2


def test_file_and_head_of_before_are_found_where_a_start_named_more(home: Path) -> None:
    """The hard one: both are genuine. Where nobody else has named what is gone, only a head kept elsewhere tells."""
    left(home)
    kept = verify(home).heads
    older = old_head(home, Signer(KEY.load_or_create(home)), 3)
    content = (home / "audit" / NAME).read_bytes()
    put_back(home, older)
    (home / "audit" / NAME).write_bytes(b"".join(content.splitlines(keepends=True)[:3]))
    assert verify(home).faults == ()
    (fault,) = verify(home, kept).faults
    assert (fault.file, fault.line, fault.what) == (NAME, 6, "missing")


def test_once_a_start_has_named_its_end_nothing_may_be_added(home: Path) -> None:
    segment = left(home)
    with running(home):
        pass
    line, _ = next_line(segment.link, facts(decided()), 3.0)
    with (home / "audit" / NAME).open("ab") as file:
        file.write(line)
    fault = only_fault(home)
    assert (fault.file, fault.line, fault.what) == (NAME, 7, "inserted")


@pytest.mark.parametrize("junk", [b"x", b"{}", b"\x00" * 100, b'[{"'])
def test_junk_at_the_end_is_no_half_record(home: Path, junk: bytes) -> None:
    left(home)
    with (home / "audit" / NAME).open("ab") as file:
        file.write(junk)
    assert only_fault(home).what == "bad JSON"


def test_nothing_may_stand_behind_an_orderly_end(home: Path) -> None:
    with running(home) as log:
        file = home / "audit" / log.file
    last = told_in(file.read_bytes().splitlines(keepends=True)[-1])
    with file.open("ab") as opened:
        opened.write(b'{"at":12,"dec')
    assert only_fault(home).what == "inserted"
    file.write_bytes(file.read_bytes().removesuffix(b'{"at":12,"dec'))
    line, _ = next_line(Link(seq=last["seq"], hash=last["hash"]), facts(decided()), 3.0)
    with file.open("ab") as opened:
        opened.write(line)
    assert only_fault(home).what == "inserted"


def test_a_file_without_its_head_and_a_head_without_its_file(home: Path) -> None:
    left(home)
    head = head_of(home, NAME)
    kept = head.read_bytes()
    head.unlink()
    assert only_fault(home).what == "head missing"
    head.write_bytes(kept)
    (home / "audit" / NAME).unlink()
    assert (only_fault(home).file, only_fault(home).what) == (NAME, "missing")


def test_a_process_that_was_killed_as_it_began_left_nothing(home: Path) -> None:
    (home / "heads").mkdir(mode=0o700)
    Signer(KEY.load_or_create(home)).create(head_of(home, NAME), NAME)
    assert verify(home).faults == ()


def test_a_head_of_another_file_or_key_is_forged(home: Path, tmp_path: Path) -> None:
    left(home)
    other = "20260101T000000Z-2-bb.jsonl"
    left(home, 2, other)
    shutil.copy(head_of(home, other), head_of(home, NAME))
    assert (only_fault(home).file, only_fault(home).what) == (NAME, "head forged")
    (home / "audit.key").unlink()
    KEY.load_or_create(home)
    assert {fault.what for fault in verify(home).faults} == {"head forged"}


def test_a_key_that_is_gone_is_told(home: Path) -> None:
    left(home)
    (home / "audit.key").unlink()
    assert (only_fault(home).file, only_fault(home).what) == ("audit.key", "missing")
    assert not (home / "audit.key").exists()


def test_a_file_under_another_name_is_found(home: Path) -> None:
    left(home)
    other = "20260101T000000Z-9-zz.jsonl"
    (home / "audit" / NAME).rename(home / "audit" / other)
    signer = Signer(KEY.load_or_create(home))
    head = signer.read(head_of(home, NAME))
    head_of(home, NAME).unlink()
    head_of(home, other).write_bytes(signer.line(other, head.link))
    assert (only_fault(home).file, only_fault(home).line) == (other, 1)


def test_it_is_no_fault_that_a_process_writes_meanwhile(home: Path) -> None:
    with running(home) as log:
        for number in range(5000):
            log.note(decided(f"r-{number}"))
            if number % 500 == 0:
                assert verify(home).faults == ()


def test_it_is_no_fault_that_files_are_begun_meanwhile(home: Path) -> None:
    first = left(home)
    half = Segment.begin(home, "20260102T000000Z-1-bb.jsonl", Signer(KEY.load_or_create(home)))
    names = iter(range(9))

    def go_on(_: int) -> None:
        left(home, 1, f"20260103T000000Z-{next(names)}-cc.jsonl")
        if not half.link.seq:
            started = starting(half.name, "start", seen=(entry(NAME, first.link),))
            half.append(*next_line(half.link, facts(started), 3.0))

    assert verify(home, progress=go_on).faults == ()
    assert half.link.seq == 1
    assert verify(home).faults == ()


def test_every_fault_is_told_and_each_once(home: Path) -> None:
    names = [f"20260101T000000Z-{number}-aa.jsonl" for number in range(3)]
    for name in names:
        left(home, 3, name)
    with running(home):
        pass
    for name in names[:2]:
        change(home, b"r-1", b"r-9", name)
    assert [fault.file for fault in verify(home).faults] == names[:2]


def test_heads_kept_elsewhere_must_be_there_still(home: Path) -> None:
    left(home)
    kept = verify(home).heads
    assert verify(home, kept).faults == ()
    ((name, seq, _, _),) = kept
    (fault,) = verify(home, [Named(name, seq, "0" * 64, seq)]).faults
    assert (fault.line, fault.what) == (6, "edited")
    (fault,) = verify(home, [Named(name, seq + 1, "0" * 64, seq + 1)]).faults
    assert fault.what == "missing"


def test_a_line_without_an_end_is_read_in_pieces(home: Path) -> None:
    left(home)
    (home / "audit" / NAME).write_bytes(b"x" * 9_000_000)
    assert max(map(len, lines_of(home / "audit" / NAME))) <= 4 * 1024 * 1024
    assert only_fault(home).what == "bad JSON"


def test_progress_tells_every_byte(home: Path) -> None:
    left(home, 6000)
    told: list[int] = []
    verify(home, progress=told.append)
    assert sum(told) == (home / "audit" / NAME).stat().st_size
    assert len(told) > 1


def test_the_newest_file_can_be_looked_at_alone(home: Path) -> None:
    assert verify_newest(home).faults == ()
    left(home, name="20260101T000000000Z-1-00000001.jsonl")
    left(home, 7, name="20260102T000000000Z-1-00000002.jsonl")
    change(home, b"r-1", b"r-9", "20260101T000000000Z-1-00000001.jsonl")
    found = verify_newest(home)
    assert (found.files, found.records, found.faults) == (1, verify(home).heads[-1].seq, ())
    change(home, b"r-1", b"r-9", "20260102T000000000Z-1-00000002.jsonl")
    assert [fault.what for fault in verify_newest(home).faults] == ["edited"]
