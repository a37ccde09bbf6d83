"""R5: a start names every file that ended and that no later one has named yet."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llmauth.audit.chain import next_line
from llmauth.audit.heads import KEY, Signer, head_of
from llmauth.audit.records import facts
from llmauth.audit.segments import Segment, begin, entry, starting
from llmauth.audit.survey import SHARED, Surroundings, files_in, named_in, open_regular, survey
from tests.fixtures.audits import decided


@pytest.fixture
def home(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


def signer(home: Path) -> Signer:
    return Signer(KEY.load_or_create(home))


def made(home: Path, name: str, others: Surroundings | None = None) -> Segment:
    seen = others or Surroundings()
    return begin(home, signer(home), starting(name, "start", follows=seen.follows, seen=seen.seen), 1.0)


def names(entries: tuple[str, ...]) -> list[str]:
    return [each.split()[0] for each in entries]


def test_nothing_is_found_where_nothing_is(home: Path) -> None:
    assert survey(home, signer(home)) == Surroundings()


def test_each_ended_file_is_named_once_for_all(home: Path) -> None:
    """Or the first records would grow with every start."""
    for name in ("a.jsonl", "b.jsonl"):
        made(home, name).close()
    first = survey(home, signer(home))
    assert names(first.follows) == ["a.jsonl", "b.jsonl"]
    made(home, "c.jsonl", first).close()
    assert names(survey(home, signer(home)).follows) == ["c.jsonl"]


def test_files_that_are_written_are_seen(home: Path) -> None:
    live, shared = made(home, "a.jsonl"), made(home, SHARED)
    shared.close()
    found = survey(home, signer(home))
    assert (found.follows, found.seen) == ((), (live.entry, shared.entry))


def test_the_last_whole_line_counts(home: Path) -> None:
    segment = made(home, "a.jsonl")
    segment.close()
    with (home / "audit" / "a.jsonl").open("ab") as file:
        file.write(b'{"half')
    assert survey(home, signer(home)).follows == (segment.entry,)


@pytest.mark.parametrize(("harm", "signed"), [(None, 2), ("gone", 0), ("junk", 0), ("behind", 1)])
def test_how_far_it_was_signed_is_told_where_that_is_not_its_end(home: Path, harm: str | None, signed: int) -> None:
    segment = made(home, "a.jsonl")
    head = head_of(home, "a.jsonl")
    before = head.read_bytes()
    segment.append(*next_line(segment.link, facts(decided()), 2.0))
    segment.close()
    if harm == "gone":
        head.unlink()
    elif harm is not None:
        head.write_bytes(b"junk" if harm == "junk" else before)
    follows = survey(home, signer(home)).follows
    assert follows == (entry("a.jsonl", segment.link, signed),)
    assert named_in({"follows": list(follows)}, "follows") == [("a.jsonl", 2, segment.link.hash, signed)]


def test_only_regular_files_are_read(home: Path) -> None:
    (home / "audit").mkdir()
    os.mkfifo(home / "audit" / "p.jsonl")
    (home / "audit" / "l.jsonl").symlink_to("/dev/zero")
    for path in files_in(home):
        with pytest.raises(OSError):
            open_regular(path)
    assert survey(home, signer(home)) == Surroundings()


def test_lists_that_are_none_name_nothing() -> None:
    one, other = "a" * 64, "b" * 64
    told = {"a": [f"x 1 {one}", "x", 7, f"x y {one}", f"x 1 {one} ", None], "b": f"y 2 {other} 1", "c": {}}
    assert named_in(told, "a", "b", "c", "d") == [("x", 1, one, 1), ("y", 2, other, 1)]
