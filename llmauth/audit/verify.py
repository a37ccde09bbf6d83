"""One verification over all files: every line, every signed head, and that no file is gone that another one names."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from llmauth.audit.chain import BEGINNING, LONGEST_LINE, NOTHING, ChainBroken, Line, Link, parsed, verified
from llmauth.audit.heads import FOLDER as HEADS
from llmauth.audit.heads import KEY, Head, Signer, head_of
from llmauth.audit.records import Started, Stopped
from llmauth.audit.segments import FOLDER, MOST_UNSIGNED
from llmauth.audit.survey import SHARED, Named, files_in, named_in, open_regular

Progress = Callable[[int], None]
"""Told how many bytes were read since it was told last."""

_STEP = 1 << 20
_NAMING = ("follows", "seen", "broken")
_KEPT = "A head kept elsewhere"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Where a record is not what was written: the file, its line (0: the file as a whole), and what is wrong."""

    file: str
    line: int
    what: str
    sentence: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.what}. {self.sentence}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What was found. `unsigned` lines stand behind a signed head: their process died before anybody was told of them.

    `heads` are how far each file goes: kept elsewhere, they prove more another day.
    """

    files: int
    records: int
    unsigned: int
    faults: tuple[Fault, ...]
    heads: tuple[Named, ...]


@dataclass(slots=True)
class _Read:
    """One file as it was read."""

    name: str
    faults: list[Fault] = field(default_factory=list)
    last: Link = BEGINNING  # of its whole lines
    signed: Link = BEGINNING
    hashes: dict[int, str] = field(default_factory=dict)  # of the lines that others name
    ended: bool = False  # by a record that says so
    rest: bytes = b""  # behind the last whole line

    def fault(self, line: int, what: str, sentence: str) -> None:
        self.faults.append(Fault(file=self.name, line=line, what=what, sentence=sentence))


def verify(home: Path, kept: Sequence[Named] = (), progress: Progress = lambda count: None) -> Verified:
    """Look at everything. `kept` are heads of an earlier verification, which must still be there.

    StateError or OSError when the folder or the key cannot be read at all.
    """
    paths = files_in(home)
    key = KEY.load(home)
    if key is None and not paths and not _heads(home):
        return Verified(files=0, records=0, unsigned=0, faults=_missing(kept), heads=())
    if key is None:
        gone = Fault(file=KEY.name, line=0, what="missing", sentence=f"The heads cannot be judged. {KEY.remedy}")
        return Verified(files=len(paths), records=0, unsigned=0, faults=(gone,), heads=())
    signer = Signer(key)
    # Read once: a file that is begun meanwhile may have its first record later, and names what nobody looked for.
    firsts = [(path.name, _first(path)) for path in paths]
    names = _names([*kept, *(named for _, first in firsts for named in named_in(first, *_NAMING))])
    read = {path.name: _verify_file(home, path, signer, names.get(path.name, set()), progress) for path in paths}
    faults = [fault for one in read.values() for fault in one.faults]
    faults += _heads_without_files(home, signer, read)
    faults += _faults_among(firsts, read)
    faults += [fault for named in kept if (fault := _not_there(read, named, _KEPT))]
    return Verified(
        files=len(read),
        records=sum(one.signed.seq for one in read.values()),
        unsigned=sum(max(0, one.last.seq - one.signed.seq) for one in read.values()),
        faults=tuple(faults),
        heads=tuple(
            Named(one.name, one.signed.seq, one.signed.hash, one.signed.seq) for one in read.values() if one.signed.seq
        ),
    )


def verify_newest(home: Path) -> Verified:
    """The newest file alone, line by line and against its signed head: cheap, and no proof that nothing is gone.

    StateError or OSError as `verify`.
    """
    paths, key = [path for path in files_in(home) if path.name != SHARED], KEY.load(home)
    if not paths or key is None:
        return verify(home)
    newest = _verify_file(home, paths[-1], Signer(key), set(), lambda count: None)
    unsigned = max(0, newest.last.seq - newest.signed.seq)
    return Verified(files=1, records=newest.signed.seq, unsigned=unsigned, faults=tuple(newest.faults), heads=())


def lines_of(path: Path, progress: Progress = lambda count: None) -> Iterator[bytes]:
    """The lines of a file, with their ends; a last one without an end as it is. None is longer than a record may be."""
    with open_regular(path) as file:
        told = 0
        while line := file.readline(LONGEST_LINE):
            told += len(line)
            if told >= _STEP:
                progress(told)
                told = 0
            yield line
        progress(told)


# ---- one file ------------------------------------------------------------------------------------------------------


def _verify_file(home: Path, path: Path, signer: Signer, named: set[int], progress: Progress) -> _Read:
    read = _Read(name=path.name)
    head = _head(home, read, signer)
    try:
        for line in verified(_whole(read, lines_of(path, progress))):
            _take(read, line, named, head)
    except ChainBroken as broken:
        read.fault(broken.line, broken.what, broken.sentence)
        # What others name of a broken file is not judged twice.
        read.signed = head or BEGINNING
        return read
    except OSError as error:
        read.fault(0, "not readable", f"{error.strerror}.")
        return read
    if head is not None:
        _require_reached(read, head)
        _judge_rest(read)
        read.signed = _signed_by_now(home, read, signer, head)
        _require_recent(read)
    return read


def _head(home: Path, read: _Read, signer: Signer) -> Link | None:
    path = head_of(home, read.name)
    try:
        head = signer.read(path)
    except FileNotFoundError:
        read.fault(0, "head missing", f"{HEADS}/{path.name} is gone, which tells how far this file goes.")
        return None
    except OSError as error:
        read.fault(0, "head not readable", f"{HEADS}/{path.name}: {error.strerror}.")
        return None
    if head is None or not head.genuine or head.file != read.name:
        read.fault(0, "head forged", f"{HEADS}/{path.name} is not signed for this file by this {KEY.name}.")
        return None
    return head.link


def _whole(read: _Read, lines: Iterable[bytes]) -> Iterator[bytes]:
    """The lines that were written to their end. One that was not can only be the last."""
    for line in lines:
        if line.endswith(b"\n") or len(line) >= LONGEST_LINE:
            yield line
        else:
            read.rest = line


def _take(read: _Read, line: Line, named: set[int], head: Link | None) -> None:
    link, kind = line.link, line.told.get("kind")
    if link.seq == 1:
        if kind != Started.kind or line.told.get("file") != read.name:
            raise ChainBroken(1, "edited", "This file does not begin with its own name: it was called otherwise.")
    elif read.ended:
        raise ChainBroken(link.seq, "inserted", "This record stands behind the end that its process wrote.")
    read.ended = kind == Stopped.kind
    if head is not None and link.seq == head.seq and link != head:
        raise ChainBroken(
            link.seq, "edited", "The signed head names another hash here: this or an earlier one was changed."
        )
    if link.seq in named:
        read.hashes[link.seq] = link.hash
    read.last = link


def _require_reached(read: _Read, head: Link) -> None:
    if read.last.seq < head.seq:
        gone = f"{read.last.seq + 1} to {head.seq}" if head.seq > read.last.seq + 1 else str(head.seq)
        read.fault(
            read.last.seq + 1, "missing", f"The file ends here, and its signed head says that there was more: {gone}."
        )


def _judge_rest(read: _Read) -> None:
    """A line without an end is what a killed process leaves behind, and anything else was put in."""
    half = not read.rest or read.rest[:2] == b'{"'[: len(read.rest)]
    if not half:
        read.fault(read.last.seq + 1, "bad JSON", "What stands at the end is no beginning of a record.")
    elif read.rest and read.ended:
        read.fault(read.last.seq + 1, "inserted", "Something stands behind the end that its process wrote.")


def _require_recent(read: _Read) -> None:
    """A killed process leaves one group of records without a signature at most; more were signed, and the head is old.

    A command adds one, and so does a process that says that it ends.
    """
    unsigned = read.last.seq - read.signed.seq
    if unsigned > (1 if read.ended or read.name == SHARED else MOST_UNSIGNED):
        sentence = f"The signed head says that the file ends at record {read.signed.seq}: it is one from before."
        read.fault(read.signed.seq + 1, "head rolled back", sentence)


def _signed_by_now(home: Path, read: _Read, signer: Signer, head: Link) -> Link:
    """How far it is signed; its process may have gone on while it was read."""
    try:
        found = signer.read(head_of(home, read.name))
    except OSError:
        return head
    if found is None or not found.genuine or found.link.seq <= head.seq:
        return head
    return read.last if found.link.seq >= read.last.seq else found.link


# ---- all of them ---------------------------------------------------------------------------------------------------


def _names(all_named: Iterable[Named]) -> dict[str, set[int]]:
    """Which lines of each file are named by others, so that reading once is enough."""
    found: dict[str, set[int]] = {}
    for named in all_named:
        found.setdefault(named.name, set()).add(named.seq)
    return found


def _first(path: Path) -> Mapping[str, object]:
    try:
        return next((parsed(line) or {} for line in lines_of(path)), {})
    except OSError:
        return {}


def _faults_among(firsts: Iterable[tuple[str, Mapping[str, object]]], read: Mapping[str, _Read]) -> Iterator[Fault]:
    for name, first in firsts:
        for named in named_in(first, *_NAMING):
            if fault := _not_there(read, named, f"{name}, line 1,"):
                yield fault
        for named in named_in(first, "follows"):
            other = read.get(named.name)
            if other is not None and not other.faults and other.last.seq > named.seq:
                sentence = f"{name}, line 1, says that this file had ended before."
                yield Fault(file=named.name, line=named.seq + 1, what="inserted", sentence=sentence)


def _not_there(read: Mapping[str, _Read], named: Named, who: str) -> Fault | None:
    """What is wrong where `who` says that a file holds this record; a file with a fault of its own says it itself."""
    other = read.get(named.name)
    if other is None:
        return Fault(file=named.name, line=0, what="missing", sentence=f"{who} names this file, and it is gone.")
    if other.faults or named.seq == 0:
        return None
    if other.hashes.get(named.seq) != named.hash:
        what, said = ("missing", "is gone") if other.last.seq < named.seq else ("edited", "has another hash")
        sentence = f"{who} names record {named.seq} of this file, which {said}."
        return Fault(file=named.name, line=named.seq, what=what, sentence=sentence)
    if other.signed.seq < named.signed:
        sentence = f"{who} saw a head of this file for record {named.signed}, and the one that is there is older."
        return Fault(file=named.name, line=other.signed.seq + 1, what="head rolled back", sentence=sentence)
    return None


def _missing(kept: Iterable[Named]) -> tuple[Fault, ...]:
    return tuple(fault for named in kept if (fault := _not_there({}, named, _KEPT)))


def _heads(home: Path) -> list[Path]:
    return sorted(path for path in (home / HEADS).glob("*.head") if not path.name.startswith("."))


def _heads_without_files(home: Path, signer: Signer, read: Mapping[str, _Read]) -> Iterator[Fault]:
    for path in _heads(home):
        name = f"{path.stem}.jsonl"
        if name in read or os.path.lexists(home / FOLDER / name):  # begun since we looked round
            continue
        # One whose process was killed before it wrote its first line is no proof that there was anything.
        if not _says_nothing(signer, path):
            yield Fault(
                file=name, line=0, what="missing", sentence=f"{HEADS}/{path.name} is there, and its file is gone."
            )


def _says_nothing(signer: Signer, path: Path) -> bool:
    try:
        head: Head | None = signer.read(path)
    except OSError:
        return False
    return head is not None and head.genuine and head.link.seq == 0 and head.link.hash == NOTHING
