"""The chunks of a body that have come as a whole, taken out together: one read may bring ten thousand of one byte."""

from __future__ import annotations

from h11._readers import ChunkedReader, chunk_header_re
from h11._receivebuffer import ReceiveBuffer


def whole_chunks(reader: object, received: ReceiveBuffer) -> list[bytes]:
    """The data of all whole chunks at the beginning of what was received, which are taken out of it.

    h11 takes twenty microseconds for each, in which nobody else is served. What is not a whole chunk by its own rules
    (a part of one, the last one, an error) is left to it; so is all of a body that is not chunked.
    """
    if not isinstance(reader, ChunkedReader) or _is_inside(reader) or not received:
        return []
    data, at, found = bytes(received), 0, []
    while (head := chunk_header_re.match(data, at)) is not None:
        size, begin = int(head[1], 16), head.end()
        end = begin + size
        if not size or data[end : end + 2] != b"\r\n":
            break
        found.append(data[begin:end])
        at = end + 2
    if at:
        received.maybe_extract_at_most(at)
    return found


def _is_inside(reader: ChunkedReader) -> bool:
    """Whether it has read a part of a chunk, or the last one."""
    return bool(reader._bytes_in_chunk or reader._bytes_to_discard or reader._reading_trailer)
