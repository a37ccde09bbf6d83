"""JSON of answers, and the numbered server-sent events of a Responses stream."""

from __future__ import annotations

import json
from typing import Any

# `str.splitlines` and what is built on it end a line at these too; JSON may hold them bare, a line of SSE better not.
_BREAKS = str.maketrans({"\x85": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"})
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def dumps(value: object) -> bytes:
    """Compact JSON in UTF-8; a half of a surrogate pair, which UTF-8 cannot hold, is escaped."""
    text = _encode(value)
    if text.isascii():
        return text.encode("ascii")
    try:
        return text.translate(_BREAKS).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode("ascii")


class Writer:
    """Writes events, each with the next `sequence_number`."""

    __slots__ = ("_number",)

    def __init__(self) -> None:
        self._number = 0

    def event(self, kind: str, **members: Any) -> bytes:
        """One event of this type."""
        return self.spliced(kind, b"," + dumps(members)[1:])

    def spliced(self, kind: str, rest: bytes) -> bytes:
        """One event whose further members are JSON already: `,"name":value…}`."""
        number, self._number = self._number, self._number + 1
        name = kind.encode("ascii")
        return b'event: %b\ndata: {"type":"%b","sequence_number":%d%b\n\n' % (name, name, number, rest)
