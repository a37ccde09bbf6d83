"""A provider's end of a WebSocket, read strictly: the handshake, frames in and frames out, and who spoke last."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from llmauth.demo.http1 import Field, Head

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
COMPRESSED = 0x40  # of a frame's first byte: the extension permessage-deflate is at work

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==")
_CONTROL = 0x8
_MAX_FRAME = 64 * 1024 * 1024


class BadHandshake(Exception):
    """Not a handshake that RFC 6455 describes; the text says what is wrong with it."""


class BadFrame(Exception):
    """Bytes that are no frame of a client."""


def check(head: Head) -> None:
    """Raise BadHandshake unless this is, to the letter, the request of RFC 6455, 4.1, without any client's key."""
    index = head.index
    if head.method != b"GET" or head.length or head.chunked:
        raise BadHandshake("a handshake is a GET without a body")
    if index.get(b"upgrade", b"").lower() != b"websocket" or index.get(b"connection", b"").lower() != b"upgrade":
        raise BadHandshake("'Upgrade: websocket' and 'Connection: Upgrade' must stand there once, and nothing beside")
    if index.get(b"sec-websocket-version") != b"13":
        raise BadHandshake("the version is not 13")
    if not _KEY.fullmatch(index.get(b"sec-websocket-key", b"")):
        raise BadHandshake("the key is not 16 bytes in base64")
    if b"llmauth_" in head.raw or b"insecure-api-key" in head.raw.lower():
        raise BadHandshake("a client's leftover reached the provider: a key in the head")


def answer(head: Head, *, deflate: bool) -> list[Field]:
    """The fields of the 101 that such a request is answered with; `realtime` is selected where it is offered."""
    digest = hashlib.sha1(head.index[b"sec-websocket-key"] + _GUID, usedforsecurity=False).digest()
    fields = [
        (b"upgrade", b"websocket"),
        (b"connection", b"Upgrade"),
        (b"sec-websocket-accept", base64.b64encode(digest)),
    ]
    if b"realtime" in items(head, b"sec-websocket-protocol"):
        fields.append((b"sec-websocket-protocol", b"realtime"))
    if deflate and b"permessage-deflate" in items(head, b"sec-websocket-extensions"):
        parameters = b"; server_no_context_takeover; client_no_context_takeover"
        fields.append((b"sec-websocket-extensions", b"permessage-deflate" + parameters))
    return fields


def items(head: Head, name: bytes) -> list[bytes]:
    """The items of a list header, without their parameters."""
    value = head.index.get(name, b"")
    return [item.partition(b";")[0].strip() for item in value.split(b",")] if value else []


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame of a client's, unmasked. `flags` are the three bits beside the final one, as they stand on the wire."""

    final: bool
    flags: int
    opcode: int
    payload: bytes


class Frames:
    """Bytes of a client to frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that these bytes complete; raises BadFrame."""
        self._buffer += data
        while (frame := self._next()) is not None:
            yield frame

    def _next(self) -> Frame | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        first, second = buffer[0], buffer[1]
        if not second & 0x80:
            raise BadFrame("a client's frame is not masked")
        size = {126: 2, 127: 8}.get(second & 0x7F, 0)
        begin = 2 + size + 4
        if len(buffer) < begin:
            return None
        length = int.from_bytes(buffer[2 : 2 + size]) if size else second & 0x7F
        if length > _MAX_FRAME or (first & _CONTROL and (length > 125 or not first & 0x80)):
            raise BadFrame("a frame is longer than it may be, or a control frame is in pieces")
        if len(buffer) < begin + length:
            return None
        payload = _unmasked(bytes(buffer[begin : begin + length]), bytes(buffer[begin - 4 : begin]))
        del buffer[: begin + length]
        return Frame(bool(first & 0x80), first & 0x70, first & 0x0F, payload)


def _unmasked(data: bytes, mask: bytes) -> bytes:
    whole = int.from_bytes((mask * (len(data) // 4 + 1))[: len(data)])
    return (int.from_bytes(data) ^ whole).to_bytes(len(data))


def render(opcode: int, payload: bytes, *, flags: int = 0, final: bool = True) -> bytes:
    """A frame as a server sends it."""
    first = bytes([(0x80 if final else 0) | flags | opcode])
    length = len(payload)
    if length < 126:
        return first + bytes([length]) + payload
    if length < 1 << 16:
        return first + b"\x7e" + length.to_bytes(2) + payload
    return first + b"\x7f" + length.to_bytes(8) + payload
