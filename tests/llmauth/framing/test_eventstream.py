"""AWS event-stream messages: read as botocore writes and reads them, and nothing that is broken passes."""

import struct
from zlib import crc32

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given, settings
from hypothesis import strategies as st

from llmauth.demo import eventstream as written
from llmauth.framing.eventstream import MAX_HEADERS, MAX_PAYLOAD, Decoder, Message

FRAME = written.event("chunk", b'{"a":1}')
HEADERS = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}


def decoded(*pieces):
    decoder = Decoder()
    return [message for piece in pieces for message in decoder.feed(piece)], decoder


def framed(block, payload=b"", *, total=None, headers_length=None):
    """A frame around any header block, with checksums that are right."""
    length = len(block) if headers_length is None else headers_length
    prelude = struct.pack(">II", 16 + len(block) + len(payload) if total is None else total, length)
    frame = prelude + struct.pack(">I", crc32(prelude)) + block + payload
    return frame + struct.pack(">I", crc32(frame))


def header(name, kind, value):
    return bytes([len(name)]) + name + bytes([kind]) + value


def test_a_message_and_another():
    messages, decoder = decoded(FRAME + written.exception("throttlingException", b"{}"))
    assert messages[0] == Message(HEADERS, b'{"a":1}')
    assert messages[1].headers[":exception-type"] == "throttlingException"
    assert (decoder.fault, decoder.pending) == ("", False)


def test_the_same_under_every_split():
    data = FRAME + written.event("end", b"")
    expected, _ = decoded(data)
    assert len(expected) == 2
    assert decoded(*(data[i : i + 1] for i in range(len(data))))[0] == expected
    for cut in range(len(data)):
        assert decoded(data[:cut], data[cut:])[0] == expected


def test_a_message_that_is_begun_is_pending():
    for cut in range(1, len(FRAME)):
        messages, decoder = decoded(FRAME[:cut])
        assert (messages, decoder.fault, decoder.pending) == ([], "", True)


def test_a_wrong_bit_anywhere_is_a_fault_and_then_it_is_deaf():
    for at in range(len(FRAME)):
        for bit in (0x01, 0x80):
            wrong = bytearray(FRAME)
            wrong[at] ^= bit
            messages, decoder = decoded(FRAME + bytes(wrong))
            assert messages == decoded(FRAME)[0]
            assert "checksum" in decoder.fault
            assert decoder.feed(FRAME) == []


@pytest.mark.parametrize(
    "frame",
    [
        framed(b"", total=15),
        framed(b"", total=16 + MAX_HEADERS + MAX_PAYLOAD + 1),
        framed(b"", total=0xFFFFFFFF),
        framed(b"", total=20, headers_length=5),
        framed(b"", total=MAX_HEADERS + 100, headers_length=MAX_HEADERS + 1),
    ],
)
def test_a_length_that_cannot_be_is_found_before_it_is_waited_for(frame):
    _, decoder = decoded(frame[:12])
    assert "length is impossible" in decoder.fault


def test_every_type_of_header_is_passed_over_but_strings():
    block = b"".join(
        (
            header(b"true", 0, b""),
            header(b"false", 1, b""),
            header(b"byte", 2, b"\x01"),
            header(b"short", 3, b"\x00\x01"),
            header(b"int", 4, b"\x00" * 4),
            header(b"long", 5, b"\x00" * 8),
            header(b"bytes", 6, b"\x00\x02ab"),
            header("sträng".encode(), 7, b"\x00\x03" + "aä".encode()),
            header(b"time", 8, b"\x00" * 8),
            header(b"uuid", 9, b"\x00" * 16),
        )
    )
    messages, decoder = decoded(framed(block, b"x"))
    assert (messages, decoder.fault) == ([Message({"sträng": "aä"}, b"x")], "")


@pytest.mark.parametrize(
    "block",
    [
        b"\x05ab",
        header(b"a", 10, b""),
        header(b"a", 7, b"\x00"),
        header(b"a", 7, b"\x00\x05ab"),
        header(b"a", 5, b"\x00"),
        header(b"a", 7, b"\x00\x01\xff"),
        header(b"\xff", 7, b"\x00\x01a"),
        b"\x01",
        b"\x01a",
    ],
    ids=range(9),
)
def test_a_header_that_is_broken_is_a_fault(block):
    messages, decoder = decoded(FRAME + framed(block))
    assert len(messages) == 1
    assert decoder.fault == "a header is broken"


NAMES = st.text(st.characters(codec="ascii"), min_size=1, max_size=20)
EVENTS = st.tuples(st.dictionaries(NAMES, st.text(max_size=20), max_size=4), st.binary(max_size=50))


@settings(max_examples=100, deadline=None)
@given(st.lists(EVENTS, max_size=4), st.integers(1, 40))
def test_botocore_reads_the_same(events, size):
    data = b"".join(written.encode(tuple(headers.items()), payload) for headers, payload in events)
    messages, decoder = decoded(*(data[i : i + size] for i in range(0, len(data), size)))
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    assert messages == [Message(event.headers, event.payload) for event in buffer] == [Message(*e) for e in events]
    assert (decoder.fault, decoder.pending) == ("", False)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80), st.integers(1, 20))
def test_any_bytes_are_messages_or_a_fault(junk, size):
    data = FRAME + junk
    messages, decoder = decoded(*(data[i : i + size] for i in range(0, len(data), size)))
    whole, other = decoded(data)
    assert (messages, decoder.fault) == (whole, other.fault)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.binary(max_size=10))
def test_any_header_block_is_read_or_a_fault(block, payload):
    messages, decoder = decoded(framed(block, payload))
    assert bool(messages) != bool(decoder.fault)
