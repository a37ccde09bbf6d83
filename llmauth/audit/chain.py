"""The chain: each line tells the hash of the line before it and its own, so that no line can change without a break."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any, Literal, NamedTuple

NOTHING = "0" * 64
LONGEST_LINE = 4 * 1024 * 1024

Break = Literal["bad JSON", "edited", "missing", "inserted", "reordered", "wrong sequence"]

_HASH_LENGTH = 64
_BEFORE, _BEHIND = b',"hash":"', b'"}\n'
_TAIL = len(_BEFORE) + _HASH_LENGTH + len(_BEHIND)
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode
_decode = json.JSONDecoder().raw_decode


class Link(NamedTuple):
    """A place in a chain: the number of a line, its hash, and how many bytes the file has up to its end."""

    seq: int = 0
    hash: str = NOTHING
    length: int = 0


class Line(NamedTuple):
    """A line that was read and is right: where it stands, and what it says."""

    link: Link
    told: Mapping[str, Any]


class ChainBroken(Exception):
    """The first line that does not follow from the ones before it. `line` counts from 1."""

    def __init__(self, line: int, what: Break, sentence: str) -> None:
        super().__init__(sentence)
        self.line = line
        self.what = what
        self.sentence = sentence


BEGINNING = Link()


def next_line(before: Link, told: Mapping[str, Any], at: float) -> tuple[bytes, Link]:
    """The bytes of the line that follows, and its place; `at` is Unix time. ValueError for a number that is none.

    The text is canonical JSON in ASCII: sorted names, no blanks, and `hash` last, which is the SHA-256 of the same
    object without it.
    """
    seq = before.seq + 1
    # math.floor rather than round: two lines of one millisecond keep it, whatever half they fell into.
    body = _encode({**told, "seq": seq, "at": math.floor(at * 1000), "prev": before.hash}).encode("ascii")
    body = body.replace(b"\x7f", b"\\u007f")
    digest = sha256(body).hexdigest()
    line = b"%b%b%b%b" % (body[:-1], _BEFORE, digest.encode("ascii"), _BEHIND)
    return line, Link(seq=seq, hash=digest, length=before.length + len(line))


def verified(lines: Iterable[bytes], start: Link = BEGINNING) -> Iterator[Line]:
    """Every line that follows from the one before it; ChainBroken at the first that does not."""
    before = start
    waiting = iter(lines)
    for number, line in enumerate(waiting, start.seq + 1):
        told, digest = _read(number, line)
        if told["prev"] != before.hash or told["seq"] != before.seq + 1:
            raise _broken(number, before, told, waiting)
        before = Link(told["seq"], digest, before.length + len(line))
        yield Line(before, told)


def _read(number: int, line: bytes) -> tuple[dict[str, Any], str]:
    told = parsed(line)
    if told is None:
        raise ChainBroken(number, "bad JSON", "This line is no record: it is damaged, or something else was put in.")
    digest = sha256(line[:-_TAIL] + b"}").hexdigest()
    if digest != told["hash"]:
        raise ChainBroken(number, "edited", "This record was changed: its hash is not that of what it says.")
    return told, digest


def parsed(line: bytes) -> dict[str, Any] | None:
    """What a line says, without a look at its hash; None for what is no line of a chain."""
    if not line.startswith(_BEFORE, -_TAIL) or not line.endswith(_BEHIND):
        return None
    try:
        text = line.decode("ascii")
        told, end = _decode(text)
    except (ValueError, RecursionError):
        return None
    # The last of several members of one name counts, and the last is where the hash stands.
    whole = end == len(text) - 1 and type(told) is dict and type(told.get("seq")) is int and "prev" in told
    return told if whole else None


def _broken(number: int, before: Link, told: Mapping[str, Any], rest: Iterable[bytes]) -> ChainBroken:
    seq, wanted = told["seq"], before.seq + 1
    if told["prev"] == before.hash:
        return ChainBroken(number, "wrong sequence", f"This record calls itself {seq}, where {wanted} follows.")
    if seq < wanted:
        return ChainBroken(number, "inserted", f"Record {seq} stands here, or was put in before, a second time.")
    if seq == wanted:
        return ChainBroken(
            number, "edited", f"This record does not follow from the one before it: {before.seq} was changed."
        )
    if any(_seq_of(line) == wanted for line in rest):
        return ChainBroken(number, "reordered", f"Record {seq} stands here, and {wanted} further on.")
    gone = f"Record {wanted} is" if seq == wanted + 1 else f"Records {wanted} to {seq - 1} are"
    return ChainBroken(number, "missing", f"{gone} missing before this one.")


def _seq_of(line: bytes) -> int | None:
    told = parsed(line)
    return None if told is None else told["seq"]
