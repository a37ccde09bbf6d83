"""Another reader of the same bytes: h11, which knows nothing of us, says which requests a connection holds."""

from __future__ import annotations

from dataclasses import dataclass

import h11

_LONGEST_HEAD = 128 * 1024


@dataclass(frozen=True, slots=True)
class Read:
    """A request as h11 reads it."""

    method: bytes
    target: bytes
    body: bytes


def requests(data: bytes) -> list[Read]:
    """The whole requests at the beginning of a connection, up to the first that is none."""
    found: list[Read] = []
    while data:
        reader = h11.Connection(h11.SERVER, max_incomplete_event_size=_LONGEST_HEAD)
        try:
            # "A server … SHOULD ignore at least one empty line (CRLF)" (RFC 9112, 2.2): h11 does not, and may.
            reader.receive_data(_without_empty_lines(data))
            read = _next(reader)
        except h11.ProtocolError:
            break
        if read is None:
            break
        found.append(read)
        if reader.their_state is h11.MUST_CLOSE:
            break
        data = reader.trailing_data[0]
    return found


def _without_empty_lines(data: bytes) -> bytes:
    while data.startswith(b"\r\n"):
        data = data[2:]
    return data


def _next(reader: h11.Connection) -> Read | None:
    head, body = reader.next_event(), b""
    if not isinstance(head, h11.Request):
        return None
    while True:
        event = reader.next_event()
        if isinstance(event, h11.EndOfMessage):
            return Read(head.method, head.target, body)
        if not isinstance(event, h11.Data):
            return None
        body += event.data
