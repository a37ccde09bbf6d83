"""Frames as botocore's parser reads them, checksums included."""

from __future__ import annotations

import botocore.eventstream
import pytest

from llmauth.demo import eventstream


def read(data: bytes) -> list[tuple[dict[str, str], bytes]]:
    buffer = botocore.eventstream.EventStreamBuffer()
    buffer.add_data(data)
    return [(message.headers, message.payload) for message in buffer]


def test_botocore_reads_events_and_exceptions() -> None:
    data = eventstream.event("chunk", b'{"a":1}') + eventstream.exception("throttlingException", b"{}")
    (event, payload), (exception, _) = read(data)
    assert payload == b'{"a":1}'
    assert event == {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}
    assert exception[":message-type"] == "exception"
    assert exception[":exception-type"] == "throttlingException"


@pytest.mark.parametrize("position", [0, 5, 9, 30, -1])
def test_botocore_notices_a_changed_byte(position: int) -> None:
    frame = bytearray(eventstream.event("chunk", b'{"a":1}'))
    frame[position] ^= 1
    with pytest.raises((botocore.eventstream.ParserError, ValueError)):
        assert read(bytes(frame) + b"\0" * 1000) == []


def test_an_empty_payload_and_a_long_one() -> None:
    for payload in (b"", b"x" * 1_000_000):
        assert read(eventstream.event("chunk", payload))[0][1] == payload
