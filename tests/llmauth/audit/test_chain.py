"""R5: a line follows from the one before it, or the first that does not is named."""

from __future__ import annotations

import hashlib
import json

import pytest

from llmauth.audit.chain import BEGINNING, NOTHING, ChainBroken, Link, next_line, verified
from tests.fixtures.audits import told_in


def chain(count: int, at: float = 1.0) -> list[bytes]:
    lines, link = [], BEGINNING
    for number in range(count):
        line, link = next_line(link, {"kind": "request", "request_id": f"r-{number}"}, at)
        lines.append(line)
    return lines


def forged(lines: list[bytes], at: int, **change: object) -> list[bytes]:
    """A line whose own hash is right."""
    told = told_in(lines[at])
    told = {name: value for name, value in told.items() if name not in ("hash", "at", "seq", "prev")} | change
    before = Link(seq=at, hash=told_in(lines[at])["prev"])
    return [*lines[:at], next_line(before, told, 1.0)[0], *lines[at + 1 :]]


def first_break(lines: list[bytes]) -> tuple[int, str]:
    with pytest.raises(ChainBroken) as broken:
        list(verified(lines))
    return broken.value.line, broken.value.what


def test_a_chain_is_whole() -> None:
    found = list(verified(chain(5)))
    assert [line.link.seq for line in found] == [1, 2, 3, 4, 5]
    assert found[-1].link.length == sum(map(len, chain(5)))


def test_anybody_can_check_a_line_without_us() -> None:
    """The hash is that of the canonical JSON without it."""
    first, second = map(json.loads, chain(2))
    said = {name: value for name, value in second.items() if name != "hash"}
    text = json.dumps(said, sort_keys=True, separators=(",", ":"))
    assert hashlib.sha256(text.encode()).hexdigest() == second["hash"]
    assert (first["prev"], second["prev"]) == (NOTHING, first["hash"])


@pytest.mark.parametrize("text", ["a\nb", "\x1b[2Ja\x00", "\x7f\x80\u202e\u2028", "\udc80", 'a","hash":"b', "ä🙂"])
def test_text_of_a_client_is_one_line_of_ascii(text: str) -> None:
    """R3: control characters are escaped, and what was said comes back."""
    line, _ = next_line(BEGINNING, {"model": text}, 1.0)
    assert all(0x20 <= byte < 0x7F for byte in line[:-1])
    assert [found.told["model"] for found in verified([line])] == [text]


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_is_none_is_refused(number: float) -> None:
    with pytest.raises(ValueError):
        next_line(BEGINNING, {"seconds": number}, 1.0)


def test_fields_of_the_chain_are_the_chains() -> None:
    line, _ = next_line(BEGINNING, {"seq": 7, "prev": "x", "at": 0, "kind": "request"}, 2.0)
    told = told_in(line)
    assert (told["seq"], told["prev"], told["at"]) == (1, NOTHING, 2000)


def test_edited() -> None:
    lines = chain(5)
    lines[2] = lines[2].replace(b"r-2", b"r-9")
    assert first_break(lines) == (3, "edited")


def test_edited_with_its_hash() -> None:
    assert first_break(forged(chain(5), 2, request_id="r-9")) == (4, "edited")


def test_missing() -> None:
    lines = chain(5)
    assert first_break(lines[:2] + lines[3:]) == (3, "missing")
    assert first_break(lines[1:]) == (1, "missing")


def test_inserted() -> None:
    lines = chain(5)
    assert first_break([*lines[:3], lines[1], *lines[3:]]) == (4, "inserted")
    assert first_break([*lines[:2], forged(lines, 2)[2], *lines[2:]]) == (4, "inserted")


def test_reordered() -> None:
    lines = chain(5)
    assert first_break([lines[0], lines[2], lines[1], *lines[3:]]) == (2, "reordered")


def test_wrong_sequence() -> None:
    lines = chain(2)
    third, _ = next_line(Link(seq=7, hash=told_in(lines[1])["hash"]), {"kind": "request"}, 1.0)
    assert first_break([*lines, third]) == (3, "wrong sequence")


@pytest.mark.parametrize(
    "junk",
    [
        b"\n",
        b"{}\n",
        b"\xff\xfe\n",
        b"[" * 100_000 + b"\n",
        b'{"seq":1}',
        b'{"hash":"' + b"0" * 64 + b'"}\n',
        b"null\n",
    ],
)
def test_bad_json(junk: bytes) -> None:
    lines = chain(3)
    assert first_break([lines[0], junk, *lines[1:]]) == (2, "bad JSON")


def test_json_that_is_no_record_is_bad_even_with_the_right_hash() -> None:
    body = b'{"a":1,"seq":true}'
    line = body[:-1] + b',"hash":"' + hashlib.sha256(body).hexdigest().encode() + b'"}\n'
    assert first_break([line]) == (1, "bad JSON")
