"""R5: a thousand changes by hand, drawn at random from the files of several processes: each is found."""

from __future__ import annotations

import contextlib
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from llmauth.audit.chain import BEGINNING, Link, next_line
from llmauth.audit.heads import KEY, Signer, head_of
from llmauth.audit.shared import append_once
from llmauth.audit.verify import verify
from tests.fixtures.audits import administered, decided, running, told_in

EACH = 50

KILLED = """
import os, sys
from pathlib import Path
from llmauth.audit.writer import AuditLog
from llmauth.clock import SystemClock
from tests.fixtures.audits import decided, told_in
log = AuditLog(Path(sys.argv[1]), SystemClock())
log.start()
for number in range(25):
    log.note(decided(f"k-{number}"))
log.note(decided("end")).wait_blocking()
os.kill(os.getpid(), 9)
"""


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What processes leave behind that ended, were killed, ran at once, filled a file; and commands between them.

    Nothing is changed at the end of the last one: who takes that away with its head is found by a head kept elsewhere.
    """
    home = tmp_path_factory.mktemp("audit") / "home"
    with running(home) as one, running(home, rotate_at=6000) as other:
        for number in range(40):
            (one if number % 3 else other).note(decided(f"r-{number}"))
        append_once(home, administered())
    for _ in range(2):
        subprocess.run([sys.executable, "-c", KILLED, str(home)], check=False, timeout=30)
    append_once(home, administered("key.revoke"))
    with running(home) as log:
        log.note(decided("last")).wait_blocking()
    (home / "last").write_text(log.file)
    assert verify(home).faults == ()
    return home


@dataclass
class Desk:
    """One change, and how it is taken back. Only what was signed is changed."""

    home: Path
    lots: random.Random
    before: dict[Path, bytes | None] = field(default_factory=dict)

    def files(self) -> list[Path]:
        return sorted((self.home / "audit").glob("*.jsonl"))

    def file(self) -> Path:
        return self.lots.choice(self.files())

    def earlier(self) -> Path:
        """Any but the last one that was begun, which nobody names yet."""
        last = (self.home / "last").read_text()
        return self.lots.choice([path for path in self.files() if path.name != last])

    def head(self, file: Path) -> Path:
        return head_of(self.home, file.name)

    def lines(self, file: Path) -> list[bytes]:
        return file.read_bytes().splitlines(keepends=True)

    def put(self, path: Path, content: bytes) -> None:
        assert path.read_bytes() != content
        self.before.setdefault(path, path.read_bytes())
        path.write_bytes(content)

    def put_lines(self, file: Path, lines: list[bytes]) -> None:
        self.put(file, b"".join(lines))

    def remove(self, path: Path) -> None:
        self.before.setdefault(path, path.read_bytes())
        path.unlink()

    def undo(self) -> None:
        for path, content in self.before.items():
            path.write_bytes(content or b"")
        self.before.clear()


def again(before: Link, lines: list[bytes]) -> list[bytes]:
    """The same records with hashes of their own, so that every line follows."""
    made = []
    for line in lines:
        told = {name: value for name, value in told_in(line).items() if name not in ("seq", "prev", "hash")}
        new, before = next_line(before, told, told["at"] / 1000)
        made.append(new)
    return made


def edit_a_byte(desk: Desk) -> None:
    file = desk.file()
    content = bytearray(file.read_bytes())
    at = desk.lots.randrange(len(content))
    content[at] = desk.lots.choice([byte for byte in range(256) if byte != content[at]])
    desk.put(file, bytes(content))


def edit_a_word(desk: Desk) -> None:
    file = desk.file()
    lines = desk.lines(file)
    at = desk.lots.randrange(len(lines))
    changed = lines[at].replace(b'"allow"', b'"deny"').replace(b'"kind":"', b'"kind":"x')
    desk.put_lines(file, [*lines[:at], changed, *lines[at + 1 :]])


def edit_and_hash_one(desk: Desk) -> None:
    file = desk.file()
    lines = desk.lines(file)
    at = desk.lots.randrange(len(lines))
    before = Link(seq=at, hash=told_in(lines[at])["prev"])
    told = {name: value for name, value in told_in(lines[at]).items() if name != "hash"} | {"user": "mallory"}
    desk.put_lines(file, [*lines[:at], next_line(before, told, 1.0)[0], *lines[at + 1 :]])


def edit_and_hash_all_that_follow(desk: Desk) -> None:
    """As one who knows the form and has no key."""
    file = desk.file()
    lines = desk.lines(file)
    at = desk.lots.randrange(len(lines))
    told = {**told_in(lines[at]), "user": "mallory"}
    before = Link(seq=at, hash=told_in(lines[at])["prev"])
    first, link = next_line(before, {name: told[name] for name in told if name != "hash"}, told["at"] / 1000)
    desk.put_lines(file, [*lines[:at], first, *again(link, lines[at + 1 :])])


def delete_lines(desk: Desk) -> None:
    file = desk.file()
    lines = desk.lines(file)
    at = desk.lots.randrange(len(lines))
    count = desk.lots.choice([1, 1, 1, 2, 5])
    desk.put_lines(file, lines[:at] + lines[at + count :])


def delete_a_line_and_hash_the_rest(desk: Desk) -> None:
    file = desk.file()
    lines = desk.lines(file)
    at = desk.lots.randrange(len(lines))
    start = Link(seq=at, hash=told_in(lines[at])["prev"]) if at else BEGINNING
    desk.put_lines(file, [*lines[:at], *again(start, lines[at + 1 :])])


def delete_a_file(desk: Desk) -> None:
    desk.remove(desk.file())


def delete_a_file_and_its_head(desk: Desk) -> None:
    file = desk.earlier()
    desk.remove(file)
    desk.remove(desk.head(file))


def delete_a_head(desk: Desk) -> None:
    desk.remove(desk.head(desk.file()))


def insert_a_copy(desk: Desk) -> None:
    file = desk.file()
    lines = desk.lines(file)
    at = desk.lots.randrange(len(lines) + 1)
    desk.put_lines(file, [*lines[:at], desk.lots.choice(desk.lines(desk.file())), *lines[at:]])


def insert_one_that_follows(desk: Desk) -> None:
    """Right in itself, and behind any line, the last one too."""
    file = desk.file()
    lines = desk.lines(file)
    at = desk.lots.randrange(1, len(lines) + 1)
    if at == len(lines) and file.name == "cli.jsonl":
        at -= 1  # behind the end of this file it is told as unsigned, and taken off by the next command
    forged, _ = next_line(Link(seq=at, hash=told_in(lines[at - 1])["hash"]), {"kind": "admin", "user": "mallory"}, 1.0)
    desk.put_lines(file, [*lines[:at], forged, *lines[at:]])


def insert_junk(desk: Desk) -> None:
    file = desk.file()
    content = file.read_bytes()
    at = desk.lots.randrange(len(content) + 1)
    junk = desk.lots.choice([b"\n", b"{}\n", b" ", b"\x00", desk.lots.randbytes(desk.lots.randint(1, 50))])
    desk.put(file, content[:at] + junk + content[at:])


def reorder(desk: Desk) -> None:
    file = desk.file()
    lines = desk.lines(file)
    if len(lines) < 2:
        lines = desk.lines(file := max(desk.files(), key=lambda path: path.stat().st_size))
    one, other = desk.lots.sample(range(len(lines)), 2)
    lines[one], lines[other] = lines[other], lines[one]
    desk.put_lines(file, lines)


def truncate(desk: Desk) -> None:
    file = desk.file()
    content = file.read_bytes()
    desk.put(file, content[: desk.lots.randrange(len(content))])


def truncate_at_a_line(desk: Desk) -> None:
    file = desk.file()
    lines = desk.lines(file)
    desk.put_lines(file, lines[: desk.lots.randrange(len(lines))])


def truncate_and_begin_the_head_anew(desk: Desk) -> None:
    """With another key, since ours is not known."""
    file = desk.file()
    lines = desk.lines(file)
    count = desk.lots.randrange(1, len(lines)) if len(lines) > 1 else 1
    length = sum(map(len, lines[:count]))
    forger = Signer(KEY.load_or_create(desk.home.parent))
    line = forger.line(file.name, Link(seq=count, hash=told_in(lines[count - 1])["hash"], length=length))
    desk.put(desk.head(file), line)


def put_an_old_head_back(desk: Desk) -> None:
    """As one who copied it; a process that ended in order leaves no more than its last record unsigned."""
    file = desk.file()
    last = file.name == (desk.home / "last").read_text()
    desk.put(desk.head(file), old_head(desk, file, most=2 if last else 1))


def put_an_old_head_and_its_file_back(desk: Desk) -> None:
    """The hard one, for both are genuine; a later start has named what is gone."""
    file = desk.earlier()
    head = old_head(desk, file, most=1)
    length = int(head.split()[2])
    desk.put(file, file.read_bytes()[:length])
    desk.put(desk.head(file), head)


def old_head(desk: Desk, file: Path, most: int) -> bytes:
    """Of any record but the last ones, or from before the first."""
    lines = desk.lines(file)
    count = desk.lots.randrange(max(1, len(lines) - most + 1))
    link = Link(seq=count, hash=told_in(lines[count - 1])["hash"], length=sum(map(len, lines[:count])))
    return Signer(KEY.load_or_create(desk.home)).line(file.name, link if count else BEGINNING)


def edit_a_head(desk: Desk) -> None:
    head = desk.head(desk.file())
    content = bytearray(head.read_bytes())
    content[desk.lots.randrange(len(content))] ^= 1 << desk.lots.randrange(8)
    desk.put(head, bytes(content))


def exchange_heads(desk: Desk) -> None:
    one, other = desk.lots.sample(desk.files(), 2)
    first, second = desk.head(one).read_bytes(), desk.head(other).read_bytes()
    desk.put(desk.head(one), second)
    desk.put(desk.head(other), first)


def exchange_files(desk: Desk) -> None:
    one, other = desk.lots.sample(desk.files(), 2)
    first, second = one.read_bytes(), other.read_bytes()
    desk.put(one, second)
    desk.put(other, first)


CHANGES: list[Callable[[Desk], None]] = [
    *(edit_a_byte, edit_a_word, edit_and_hash_one, edit_and_hash_all_that_follow),
    *(delete_lines, delete_a_line_and_hash_the_rest, delete_a_file, delete_a_file_and_its_head, delete_a_head),
    *(insert_a_copy, insert_one_that_follows, insert_junk, reorder),
    *(truncate, truncate_at_a_line, truncate_and_begin_the_head_anew, edit_a_head, exchange_heads, exchange_files),
    *(put_an_old_head_back, put_an_old_head_and_its_file_back),
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_every_change_is_found(untouched: Path, change: Callable[[Desk], None]) -> None:
    desk = Desk(untouched, random.Random(change.__name__))
    for _ in range(EACH):
        with contextlib.ExitStack() as stack:
            stack.callback(desk.undo)
            change(desk)
            changed = {path.name for path in desk.before}
            faults = verify(untouched).faults
            assert faults, changed
            # The first fault leads to a file that was changed, or to the head of one.
            assert {Path(faults[0].file).stem} & {Path(name).stem for name in changed}
    assert verify(untouched).faults == ()


def test_there_are_more_than_a_thousand() -> None:
    assert len(CHANGES) * EACH >= 1000


def test_the_last_file_with_its_head_is_found_by_a_head_kept_elsewhere(untouched: Path, tmp_path: Path) -> None:
    """What nothing here can find: nobody has named that file yet."""
    home = tmp_path / "home"
    shutil.copytree(untouched, home)
    kept = verify(home).heads
    last = (home / "last").read_text()
    (home / "audit" / last).unlink()
    head_of(home, last).unlink()
    assert verify(home).faults == ()
    (fault,) = verify(home, kept).faults
    assert (fault.file, fault.what) == (last, "missing")


def test_everything_taken_away_is_found_by_heads_kept_elsewhere(untouched: Path, tmp_path: Path) -> None:
    kept = verify(untouched).heads
    assert len(verify(tmp_path / "empty", kept).faults) == len(kept) > 5
