"""The meter of server-sent events: it looks for the few that tell, and parses those alone, when it is read."""

from __future__ import annotations

import re
from collections.abc import Iterator

from llmauth.framing.sse import Decoder
from llmauth.usage.formats import Format
from llmauth.usage.meter import Reading, Reason, judged, parsed
from llmauth.usage.told import Told

# The last event of OpenAI's Responses holds the whole answer; with pictures in it one may be longer than this.
LONGEST = 4 * 1024 * 1024

_WHOLE = (b"\n\n", b"\r\n\r\n")
_END = re.compile(rb"\n\r?\n|\r\r")
_LINE_END = re.compile(rb"[\r\n]")
_ENDS = (b"\n\n", b"\n\r\n", b"\r\r")
_LINE_ENDS = (b"\n", b"\r")


class Events:
    """A stream of events, of which the first and the last that tell are kept: all formats tell cumulatively."""

    __slots__ = ("_first", "_format", "_last", "_lost", "_members", "_pattern", "_pending", "_skips")

    def __init__(self, format_: Format) -> None:
        self._format = format_
        self._members = format_.members
        self._pattern = format_.pattern
        self._first = b""
        self._last = b""  # with its neighbours, as they came
        self._pending = bytearray()
        self._skips = False  # the rest of an event that is too long
        self._lost = False

    def feed(self, data: bytes) -> None:
        """Most often these are whole events, none of which tells: then nothing is kept and nothing is looked at."""
        if self._pending or self._skips or not data.endswith(_WHOLE):
            self._collect(data)
            return
        for member in self._members:
            place = data.find(member)
            if place >= 0:
                self._keep(data, place if len(self._members) == 1 else 0)
                return

    def _collect(self, data: bytes) -> None:
        pending = self._pending
        seen = max(0, len(pending) - 2)  # the end of an event may have come in two pieces
        pending += data
        if self._skips:
            end = (_LINE_END if self._format.lines else _END).search(pending)
            self._skips = end is None
            del pending[: -2 if end is None else end.end()]
            seen = 0
        self._take(max(self._after(pending, end, seen, len(pending)) for end in self._ends))

    def _take(self, complete: int) -> None:
        pending = self._pending
        if complete:
            self._keep(bytes(pending[:complete]))
            del pending[:complete]
        if len(pending) > LONGEST:
            self._skips = self._lost = True
            del pending[:-2]

    def _keep(self, events: bytes, since: int = 0) -> None:
        found = self._pattern.search(events, since)
        if found is None:
            return
        self._last = events
        if not self._first:
            self._first = self._cut(events, found.start())

    @property
    def _ends(self) -> tuple[bytes, ...]:
        return _LINE_ENDS if self._format.lines else _ENDS

    def _cut(self, events: bytes, place: int) -> bytes:
        """The event at this place, without its neighbours."""
        begin = max(self._after(events, end, 0, place) for end in self._ends)
        found = (_LINE_END if self._format.lines else _END).search(events, place)
        return events[begin : len(events) if found is None else found.start()]

    @staticmethod
    def _after(events: bytes | bytearray, end: bytes, begin: int, place: int) -> int:
        """Where an event begins: behind the last such end between these places, 0 where there is none."""
        before = events.rfind(end, begin, place)
        return 0 if before < 0 else before + len(end)

    def reading(self, *, cut: bool = False) -> Reading:
        """Parsed each time: it is asked for once."""
        why = Reason.TOO_LARGE if self._lost else Reason.CUT if cut else Reason.NOT_TOLD
        return judged([told for event in self._telling() if (told := self._told(event)) is not None], why)

    def _telling(self) -> Iterator[bytes]:
        for events in (self._first, self._last, bytes(self._pending)):
            places = [found.start() for found in self._pattern.finditer(events)]
            if places:
                yield self._cut(events, places[-1])

    def _told(self, event: bytes) -> Told | None:
        data = "\n".join(one.data for one in Decoder(lines=self._format.lines).feed(event + b"\n\n"))
        value = parsed(data)
        return self._format.read(value) if isinstance(value, dict) else None
