"""Chunks that are taken out together, against h11, which takes each by itself."""

from __future__ import annotations

import time
from typing import Any

import h11
import pytest
from h11._readers import ChunkedReader, ContentLengthReader
from h11._receivebuffer import ReceiveBuffer

from addons.wire.chunks import whole_chunks


def received(data: bytes) -> ReceiveBuffer:
    buffer = ReceiveBuffer()
    buffer += data
    return buffer


def by_h11(data: bytes) -> tuple[bytes, str]:
    """The body as far as it is there, and how reading it ended."""
    return read(data, lambda reader, buffer: [])


def read(data: bytes, first: Any) -> tuple[bytes, str]:
    reader, buffer, body = ChunkedReader(), received(data), b""
    try:
        while True:
            body += b"".join(first(reader, buffer))
            event: Any = reader(buffer)
            if not isinstance(event, h11.Data):
                return body, type(event).__name__
            body += event.data
    except h11.ProtocolError as error:
        return body, type(error).__name__


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"1\r\na\r\n" * 50 + b"0\r\n\r\n",
        b"3\r\nabc\r\nA\r\n0123456789\r\n",
        b"3\r\nabc\r\n5\r\nab",
        b"3\r\nabc\r\n5\r\nabcde",
        b"3\r\nabc\r\n5\r\nabcde\r",
        b"3;x=y\r\nabc\r\n3 \r\nabc\r\n0;z\r\nX: y\r\n\r\n",
        b"3\r\nabc\r\n3\r\nabcX\r\n",
        b"3\r\nabc\r\nZZ\r\n",
        b"3\r\nabc\r\n-1\r\n",
        b"3\r\nabc\r\n0x3\r\nabc\r\n",
        b"3\r\nabc\r\n\r\n",
        b"3\nabc\n3\r\nabc\r\n",
        b"3;a\nb\r\nabc\r\n",
        b"3;a\rb\r\nabc\r\n0\r\n\r\n",
        b"3\r\nabc\r\n" + b"f" * 21 + b"\r\n",
        b"3\r\nabc\r\n" + b"f" * 20 + b"\r\nab",
    ],
)
def test_the_same_as_one_by_one(data: bytes) -> None:
    assert read(data, whole_chunks) == by_h11(data)


def test_what_is_not_whole_stays() -> None:
    buffer = received(b"1\r\na\r\n2\r\nbc\r\n3\r\nde")
    assert whole_chunks(ChunkedReader(), buffer) == [b"a", b"bc"]
    assert bytes(buffer) == b"3\r\nde"


def test_inside_a_chunk_and_where_there_are_none_nothing_is_taken() -> None:
    reader, buffer = ChunkedReader(), received(b"9\r\n1\r\na\r\n")
    reader(buffer)
    buffer += b"1\r\na\r\n"
    assert whole_chunks(reader, buffer) == []
    assert whole_chunks(ContentLengthReader(6), received(b"1\r\na\r\n")) == []


def test_ten_thousand_are_taken_at_once() -> None:
    """In that time nobody else is served; it was longer than 50 ms."""
    buffer = received(b"1\r\na\r\n" * 10_000)
    began = time.process_time()
    assert len(whole_chunks(ChunkedReader(), buffer)) == 10_000
    assert time.process_time() - began < 0.05
    assert not buffer
