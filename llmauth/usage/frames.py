"""The meter of AWS's event streams: it goes from message to message by their lengths, and opens few of them."""

from __future__ import annotations

import base64
import binascii
from collections import deque
from collections.abc import Iterator
from itertools import chain

from llmauth.framing.eventstream import Decoder
from llmauth.usage.formats import Format
from llmauth.usage.meter import Reading, Reason, judged, parsed
from llmauth.usage.told import Told

LONGEST = 1024 * 1024  # of a message that is kept
_SHORTEST = 16
_POSSIBLE = 32 * 1024 * 1024
# A model's own event lies in base64, where its members are not seen. The first tells of the prompt, and one of the last
# three of the whole: Claude has it in the last but one, and Bedrock's own count is in the last.
_LAST = 3


class Frames:
    """A stream of messages, of which the first and the last that may tell are kept as they are."""

    __slots__ = ("_first", "_format", "_last", "_lost", "_member", "_pending", "_skip", "_why")

    def __init__(self, format_: Format) -> None:
        self._format = format_
        self._member = format_.framed
        self._pending = bytearray()
        self._skip = 0  # bytes of a message that is too long
        self._first = b""
        self._last: deque[bytes] = deque(maxlen=_LAST)
        self._why: Reason | None = None

    def feed(self, data: bytes) -> None:
        """Most often this is one message."""
        if self._why is Reason.BROKEN:
            return
        if self._pending or self._skip or not int.from_bytes(data[:4], "big") == len(data) >= _SHORTEST:
            self._collect(data)
        else:
            self._keep(data)

    def _collect(self, data: bytes) -> None:
        skipped = min(self._skip, len(data))
        self._skip -= skipped
        pending = self._pending
        pending += memoryview(data)[skipped:]
        at = 0
        while (length := self._length(at)) and at + length <= len(pending):
            self._keep(bytes(pending[at : at + length]))
            at += length
        del pending[:at]
        if length > LONGEST:
            self._skip_one(length)

    def _length(self, at: int) -> int:
        """Of the message that begins there; 0 where that is not known yet."""
        if len(self._pending) - at < 4:
            return 0
        length = int.from_bytes(self._pending[at : at + 4], "big")
        if not _SHORTEST <= length <= _POSSIBLE:
            self._why = Reason.BROKEN
            del self._pending[at:]
            return 0
        return length

    def _skip_one(self, length: int) -> None:
        self._why = Reason.TOO_LARGE
        self._skip = max(0, length - len(self._pending))
        del self._pending[:length]

    def _keep(self, message: bytes) -> None:
        if self._member not in message:
            return
        if len(message) > LONGEST:
            self._why = Reason.TOO_LARGE
            return
        if not self._first:
            self._first = message
        else:
            self._last.append(message)

    def reading(self, *, cut: bool = False) -> Reading:
        """Opened each time: it is asked for once."""
        why = self._why or (Reason.CUT if cut else Reason.NOT_TOLD)
        return judged([told for message in self._telling() if (told := self._told(message)) is not None], why)

    def _telling(self) -> Iterator[bytes]:
        return chain((self._first,), self._last)

    def _told(self, message: bytes) -> Told | None:
        for headers, payload in Decoder().feed(message):
            value = parsed(payload)
            if headers.get(":event-type") == "chunk" and isinstance(value, dict):
                value = parsed(_plain(value.get("bytes")))
            if isinstance(value, dict):
                return self._format.read(value)
        return None


def _plain(value: object) -> bytes:
    try:
        return base64.b64decode(value) if isinstance(value, str) else b""
    except (ValueError, binascii.Error):
        return b""
