"""Frames of AWS's event stream: the length prelude, typed headers, a payload, and two checksums."""

from __future__ import annotations

import struct
from functools import lru_cache
from zlib import crc32

from llmauth.demo.http1 import Field

EVENT_STREAM: Field = (b"content-type", b"application/vnd.amazon.eventstream")

_STRING = 7


def encode(headers: tuple[tuple[str, str], ...], payload: bytes) -> bytes:
    """One frame: total length, header length and their CRC-32, then headers, payload, and the CRC-32 of it all."""
    block = _header_block(headers)
    prelude = struct.pack(">II", 16 + len(block) + len(payload), len(block))
    frame = b"".join((prelude, struct.pack(">I", crc32(prelude)), block, payload))
    return frame + struct.pack(">I", crc32(frame))


@lru_cache(maxsize=64)
def _header_block(headers: tuple[tuple[str, str], ...]) -> bytes:
    return b"".join([_header(name.encode(), value.encode()) for name, value in headers])


def _header(name: bytes, value: bytes) -> bytes:
    return struct.pack(">B", len(name)) + name + struct.pack(">BH", _STRING, len(value)) + value


def event(kind: str, payload: bytes) -> bytes:
    """An event frame."""
    return encode(
        ((":event-type", kind), (":content-type", "application/json"), (":message-type", "event")),
        payload,
    )


def exception(kind: str, payload: bytes) -> bytes:
    """An exception frame, which ends a stream."""
    return encode(
        ((":exception-type", kind), (":content-type", "application/json"), (":message-type", "exception")),
        payload,
    )
