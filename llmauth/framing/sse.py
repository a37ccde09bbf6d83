"""Server-sent events: bytes to events and back, by the rules of the HTML standard (9.2.6)."""

from __future__ import annotations

from typing import NamedTuple

# An event holds at most one image of a model that draws; what is longer comes from nobody's API.
MAX_EVENT = 24 * 1024 * 1024
_MARK = b"\xef\xbb\xbf"


class ServerEvent(NamedTuple):
    """One event: `name` is empty where none was given, `data` has its lines joined."""

    name: str
    data: str


class Decoder:
    """Takes bytes in any pieces and gives the events that are complete. Comments and ids are skipped.

    `fault` says that an event grew beyond the limit. It is deaf then.

    Lenient in one thing: an event that is followed by another without the empty line between them ("data:" twice, as
    Oracle writes them) is told apart only where `lines` is set, since by the standard these are one event of two lines.
    """

    def __init__(self, *, lines: bool = False, limit: int = MAX_EVENT) -> None:
        self.fault = ""
        self._rest = bytearray()  # a line that has begun
        self._name = ""
        self._data: bytearray | None = None
        self._lines = lines
        self._limit = limit
        self._longest_line = limit + len(b"data: ")
        self._begun = False

    def feed(self, data: bytes) -> list[ServerEvent]:
        """Those that these bytes complete; look at `fault` after it."""
        events: list[ServerEvent] = []
        if self.fault or not (data := self._unmarked(data)):
            return events
        if self._is_one(data):  # as nearly all of a stream comes
            return [ServerEvent("", str(data[6:-2], "utf-8", "replace"))]
        ends = b"\n" in data or b"\r" in data or self._rest.endswith(b"\r")
        self._rest += data
        if ends:
            self._split(events)
        if len(self._rest) > self._longest_line + self._rest.endswith(b"\r"):
            self._give_up()
        return events

    def _is_one(self, data: bytes) -> bool:
        """Whether these bytes are one event of one line, and nothing of another one waits."""
        return (
            data.startswith(b"data: ")
            and data.endswith(b"\n\n")
            and data.count(b"\n") == 2
            and b"\r" not in data
            and not self._rest
            and self._data is None
            and not self._name
            and len(data) <= self._limit
        )

    def _split(self, events: list[ServerEvent]) -> None:
        """A long line is looked through once, when it ends: it may come in thousands of pieces."""
        pieces = bytes(self._rest).replace(b"\r\n", b"\n")
        half = b"\r" if pieces.endswith(b"\r") else b""  # maybe half of a CRLF
        *lines, rest = pieces.removesuffix(half).replace(b"\r", b"\n").split(b"\n")
        self._rest = bytearray(rest + half)
        for line in lines:
            self._take(line, events)

    def _unmarked(self, data: bytes) -> bytes:
        """ "One leading U+FEFF BYTE ORDER MARK character must be ignored." """
        if self._begun or not data:
            return data
        whole = bytes(self._rest) + data
        self._rest.clear()
        if len(whole) < len(_MARK) and _MARK.startswith(whole):
            self._rest += whole
            return b""
        self._begun = True
        return whole.removeprefix(_MARK)

    def _give_up(self) -> None:
        self.fault = f"an event is longer than {self._limit} bytes"
        self._rest, self._data = bytearray(), None

    def close(self) -> list[ServerEvent]:
        """The body is over: a last event that lacks only its empty line counts, since the provider said all of it."""
        events: list[ServerEvent] = []
        rest = bytes(self._rest).removesuffix(b"\r")
        self._rest.clear()
        if rest:
            self._take(rest, events)
        self._dispatch(events)
        return events

    def _take(self, line: bytes, events: list[ServerEvent]) -> None:
        if self.fault:
            return None
        if not line:
            return self._dispatch(events)
        if len(line) > self._longest_line:
            return self._give_up()
        name, colon, value = line.partition(b":")
        if not name:
            return None
        value = value.removeprefix(b" ") if colon else b""
        if name == b"data":
            self._add(value, events)
        elif name == b"event":
            if self._lines and self._data is not None:
                self._dispatch(events)
            self._name = value.decode("utf-8", "replace")
        return None

    def _add(self, value: bytes, events: list[ServerEvent]) -> None:
        if self._lines and self._data is not None:
            self._dispatch(events)
        if self._data is None:
            self._data = bytearray(value)
        else:
            self._data += b"\n" + value
        if len(self._data) > self._limit:
            self._give_up()

    def _dispatch(self, events: list[ServerEvent]) -> None:
        if self._data is not None:
            events.append(ServerEvent(self._name, self._data.decode("utf-8", "replace")))
            self._data = None
        self._name = ""


def encode(data: bytes, name: str = "") -> bytes:
    """One event with data in one line, as JSON is."""
    return b"event: " + name.encode("ascii") + b"\ndata: " + data + b"\n\n" if name else b"data: " + data + b"\n\n"
