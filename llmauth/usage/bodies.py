"""Meters of whole answers in JSON: a short one is kept, of a long one its end, which is where all formats tell."""

from __future__ import annotations

import re
from collections.abc import Iterator
from json import JSONDecoder
from typing import Any

from llmauth.usage.formats import Format
from llmauth.usage.meter import Reading, Reason, judged, parsed
from llmauth.usage.told import MOST, Told

KEPT = 256 * 1024  # bytes of a body up to which it may be parsed as a whole
END = 32 * 1024  # bytes of a longer one's end
_TRIED = 8  # places in an end; a model may be brought to call a tool with a thousand such members
_SHORT = 4 * 1024  # parsing up to here costs no more than looking for the end

_decoder = JSONDecoder()


class Whole:
    """One JSON object."""

    __slots__ = ("_body", "_format", "_head", "_trimmed")

    def __init__(self, format_: Format, head: Told | None = None) -> None:
        self._format = format_
        self._head = head
        self._body: bytes | bytearray = b""
        self._trimmed = False

    def feed(self, data: bytes) -> None:
        """Kept, up to a limit; then only the end is."""
        if not self._body:
            self._body = data  # most often all of it
        elif isinstance(self._body, bytearray):
            self._body += data
        else:
            self._body = bytearray(self._body + data)
        if len(self._body) > KEPT:
            self._body = bytearray(self._body[-END:])
            self._trimmed = True

    def reading(self, *, cut: bool = False) -> Reading:
        """Parsed each time: it is asked for once."""
        body = self._body
        pieces = [piece._replace(final=True) for piece in (self._head, self._told(body)) if piece is not None]
        return judged(pieces, Reason.NOT_TOLD) if pieces else Reading(None, self._why_not(body, cut))

    def _told(self, body: bytes | bytearray) -> Told | None:
        if self._trimmed or (len(body) > _SHORT and self._format.early):
            told = self._told_by_end(body)
            if told is not None or self._trimmed:
                return told
        value = parsed(body)
        return self._format.read(value) if isinstance(value, dict) else None

    def _told_by_end(self, body: bytes | bytearray) -> Told | None:
        for inner, rest in tails(bytes(body[-END:]), self._format):
            if rest in self._format.ends and (told := self._format.read(inner)) is not None:
                return told
        return None

    def _why_not(self, body: bytes | bytearray, cut: bool) -> Reason:
        if cut:
            return Reason.CUT
        if self._trimmed:
            return Reason.TOO_LARGE
        return Reason.NOT_TOLD if not body.strip() or isinstance(parsed(body), dict) else Reason.BROKEN


class Growing:
    """An array of answers, each of which tells more than those before it. Only its end is kept."""

    __slots__ = ("_end", "_format")

    def __init__(self, format_: Format) -> None:
        self._format = format_
        self._end = bytearray()

    def feed(self, data: bytes) -> None:
        """Kept, up to twice the end."""
        self._end += data
        if len(self._end) > 2 * END:
            del self._end[:-END]

    def reading(self, *, cut: bool = False) -> Reading:
        """What the last answer told that is complete; the last of all is the one before the array's end."""
        for inner, rest in tails(bytes(self._end), self._format):
            if rest[:1] in ("", ",", "]") and (told := self._format.read(inner)) is not None:
                return judged([told._replace(final=rest[:1] == "]")], Reason.NOT_TOLD)
        return Reading(None, Reason.CUT if cut else Reason.NOT_TOLD)


class Sums:
    """Older embeddings of Google's tell with each text what it took; they are added up as they pass."""

    __slots__ = ("_found", "_rest", "_sum")

    # The byte behind a number tells that it is whole.
    _NUMBER = re.compile(rb'"token_?[cC]ount"\s{0,8}:\s{0,8}(\d{1,12})(?=[^\d])')
    _LONGEST = 64

    def __init__(self) -> None:
        self._rest = b""
        self._sum = 0
        self._found = False

    def feed(self, data: bytes) -> None:
        """Adds up what is complete."""
        data = self._rest + data
        end = 0
        for match in self._NUMBER.finditer(data):
            self._sum, self._found, end = min(self._sum + int(match[1]), MOST), True, match.end()
        self._rest = data[max(end, len(data) - self._LONGEST) :]

    def reading(self, *, cut: bool = False) -> Reading:
        """The sum so far."""
        if not self._found:
            return Reading(None, Reason.CUT if cut else Reason.NOT_TOLD)
        return judged([Told({"input": self._sum, "output": 0}, final=not cut)], Reason.NOT_TOLD)


def tails(end: bytes, format_: Format) -> Iterator[tuple[dict[str, Any], str]]:
    """Objects of which only the rest is here, from a member that tells on; and what stands behind each. Last first.

    Quotes inside of a string are escaped, so what looks like a member is one. How deep it lies is told by what is left
    behind the brace that closes its object: nothing for the outermost one.
    """
    places = [match.start() for match in format_.pattern.finditer(end)]
    for place in reversed(places[-_TRIED:]):
        if end[place - 1 : place] == b"\\":
            continue  # the end of a string that holds such a quote
        text = "{" + end[place:].decode("utf-8", "replace")
        try:
            inner, closed = _decoder.raw_decode(text)
        except (ValueError, RecursionError):
            continue
        yield inner, text[closed:].strip()
