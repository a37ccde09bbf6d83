"""AWS event-stream messages: bytes to messages, each checked by its two checksums."""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import NamedTuple
from zlib import crc32

# "botocore": headers of at most 128 KiB, payload of at most 24 MiB.
MAX_HEADERS = 128 * 1024
MAX_PAYLOAD = 24 * 1024 * 1024
_PRELUDE = struct.Struct(">III")
_STRING = 7
_REPEATED = 256  # how long headers may be that are remembered
# The length of each type of header value; a string and bytes tell their own.
_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}


class _Broken(Exception):
    """Bytes that are no message."""


class Message(NamedTuple):
    """One message: headers that are strings, by name (not to be changed), and the payload."""

    headers: dict[str, str]
    payload: bytes


class Decoder:
    """Takes bytes in any pieces and gives the messages that are complete.

    `fault` says what is wrong with the first bytes that are no message (checksum, length, header); it is deaf then.
    """

    def __init__(self) -> None:
        self.fault = ""
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """Those that these bytes complete; look at `fault` after it."""
        messages: list[Message] = []
        if self.fault:
            return messages
        waiting = self._buffer
        if waiting:
            waiting += data
        source: bytes | bytearray = waiting or data
        at = 0
        try:
            while end := _end_of(source, at):
                messages.append(_message(bytes(source[at:end])))
                at = end
        except _Broken as broken:
            self.fault = str(broken)
        if source is waiting:
            del waiting[:at]
        else:
            waiting += data[at:]
        return messages

    @property
    def pending(self) -> bool:
        """Whether a message is begun and not complete."""
        return bool(self._buffer)


def _end_of(source: bytes | bytearray, at: int) -> int:
    """Where the message that begins here ends, 0 as long as it is not complete."""
    if len(source) - at < _PRELUDE.size:
        return 0
    total, headers_length, checksum = _PRELUDE.unpack_from(source, at)
    if crc32(source[at : at + 8]) != checksum:
        raise _Broken("the checksum of a prelude is wrong")
    if headers_length > MAX_HEADERS or not 16 + headers_length <= total <= 16 + MAX_HEADERS + MAX_PAYLOAD:
        raise _Broken("a length is impossible")
    end = at + int(total)
    return end if end <= len(source) else 0


def _message(frame: bytes) -> Message:
    if crc32(memoryview(frame)[:-4]) != int.from_bytes(frame[-4:], "big"):
        raise _Broken("the checksum of a message is wrong")
    begin = _PRELUDE.size + int.from_bytes(frame[4:8], "big")
    block = frame[_PRELUDE.size : begin]
    return Message(_repeated(block) if len(block) <= _REPEATED else _headers(block), frame[begin:-4])


@lru_cache(maxsize=64)
def _repeated(block: bytes) -> dict[str, str]:
    """The headers of an event are the same for each of its kind."""
    return _headers(block)


def _headers(block: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    at = 0
    try:
        while at < len(block):
            length = block[at]
            name = block[at + 1 : at + 1 + length].decode("utf-8")
            kind = block[at + 1 + length]
            at += 2 + length
            if kind in _SIZES:
                at += _SIZES[kind]
                continue
            (size,) = struct.unpack_from(">H", block, at)
            value = block[at + 2 : at + 2 + size]
            if kind not in (6, _STRING) or len(value) != size:
                raise _Broken("a header is broken")
            if kind == _STRING:
                headers[name] = value.decode("utf-8")
            at += 2 + size
    except (IndexError, struct.error, UnicodeDecodeError):
        raise _Broken("a header is broken") from None
    if at != len(block):
        raise _Broken("a header is broken")
    return headers
