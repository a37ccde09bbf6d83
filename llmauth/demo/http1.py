"""Strict HTTP/1.1 as a provider's front door reads it: bytes to requests, nothing repaired, every byte kept.

Written by hand rather than on h11, for three reasons: the raw head is kept as it came, a request costs a fifth of the
CPU (the benchmark shares two cores with the proxy), and the gateway's own HTTP engine reads bodies with h11, so this is
a second opinion on its framing. The tests hold it against h11.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus

Field = tuple[bytes, bytes]

MAX_HEAD = 64 * 1024
MAX_BODY = 64 * 1024 * 1024

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_ORIGIN_FORM = re.compile(rb"/[!\"$-~]*")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_DIGITS = re.compile(rb"[0-9]{1,19}")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?")
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus} | {529: b"Overloaded"}


class Malformed(Exception):
    """What no honest client sends; `status` is the answer, after which the connection is closed."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True, slots=True)
class Head:
    """A request's head. `index` has lower-case names; the values of a repeated header are joined by a comma."""

    raw: bytes
    method: bytes
    target: bytes
    fields: tuple[Field, ...]
    index: dict[bytes, bytes]
    length: int
    chunked: bool
    keep_alive: bool


@dataclass(frozen=True, slots=True)
class Request:
    """A request with its body, decoded from its framing."""

    head: Head
    body: bytes
    trailers: tuple[Field, ...] = ()


class Parser:
    """Feed it bytes as they come; `head` is set while a head is in and its body is not."""

    def __init__(self) -> None:
        self.head: Head | None = None
        self._buffer = bytearray()
        self._chunks: list[bytes] = []
        self._decoded = 0
        self._last_chunk = False

    def feed(self, data: bytes) -> None:
        """Add what was read from the wire."""
        self._buffer += data

    @property
    def pending(self) -> int:
        """How many bytes wait to be read."""
        return len(self._buffer)

    def rest(self) -> bytes:
        """What was read and is no request: the connection has become another."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest

    def next_request(self) -> Request | None:
        """The next whole request, `None` while bytes of it are missing; raises Malformed."""
        if self.head is None:
            self.head = self._read_head()
        head = self.head
        if head is None:
            return None
        request = self._read_chunked(head) if head.chunked else self._read_counted(head)
        if request is not None:
            self.head = None
        return request

    def _read_head(self) -> Head | None:
        end = self._buffer.find(b"\r\n\r\n", 0, MAX_HEAD)
        if end < 0:
            if len(self._buffer) >= MAX_HEAD:
                raise Malformed(431, f"the head is longer than {MAX_HEAD} bytes")
            return None
        raw = bytes(self._buffer[: end + 4])
        del self._buffer[: end + 4]
        return parse_head(raw)

    def _read_counted(self, head: Head) -> Request | None:
        if len(self._buffer) < head.length:
            return None
        body = bytes(self._buffer[: head.length])
        del self._buffer[: head.length]
        return Request(head, body)

    def _read_chunked(self, head: Head) -> Request | None:
        while not self._last_chunk:
            if not self._read_chunk():
                return None
        trailers = self._read_trailers()
        if trailers is None:
            return None
        body = b"".join(self._chunks)
        self._chunks, self._decoded, self._last_chunk = [], 0, False
        return Request(head, body, trailers)

    def _read_chunk(self) -> bool:
        end = self._buffer.find(b"\r\n", 0, 1024)
        if end < 0:
            if len(self._buffer) >= 1024:
                raise Malformed(400, "a chunk's size line does not end")
            return False
        match = _CHUNK_SIZE.fullmatch(self._buffer[:end])
        if match is None:
            raise Malformed(400, "a chunk's size is not a hexadecimal number")
        size = int(match[1], 16)
        if self._decoded + size > MAX_BODY:
            raise Malformed(413, f"the body is longer than {MAX_BODY} bytes")
        if size == 0:
            del self._buffer[: end + 2]
            self._last_chunk = True
            return True
        start, stop = end + 2, end + 2 + size
        if len(self._buffer) < stop + 2:
            return False
        if self._buffer[stop : stop + 2] != b"\r\n":
            raise Malformed(400, "a chunk is not followed by a line end")
        self._chunks.append(bytes(self._buffer[start:stop]))
        self._decoded += size
        del self._buffer[: stop + 2]
        return True

    def _read_trailers(self) -> tuple[Field, ...] | None:
        if self._buffer[:2] == b"\r\n":
            del self._buffer[:2]
            return ()
        end = self._buffer.find(b"\r\n\r\n", 0, MAX_HEAD)
        if end < 0:
            if len(self._buffer) >= MAX_HEAD:
                raise Malformed(431, f"the trailers are longer than {MAX_HEAD} bytes")
            return None
        lines = bytes(self._buffer[:end]).split(b"\r\n")
        del self._buffer[: end + 4]
        return tuple(parse_field(line) for line in lines)


def parse_head(raw: bytes) -> Head:
    """A head from its first byte to the empty line; raises Malformed for what two readers might read differently."""
    first, *lines = raw[:-4].split(b"\r\n")
    method, target = _request_line(first)
    fields = tuple([parse_field(line) for line in lines])
    index: dict[bytes, bytes] = {}
    for name, value in fields:
        key = name.lower()
        if key in index:
            if key in (b"host", b"content-length", b"transfer-encoding"):
                raise Malformed(400, f"more than one {key.decode()} header")
            value = index[key] + b", " + value
        index[key] = value
    if not index.get(b"host"):
        raise Malformed(400, "no Host header")
    length, chunked = _framing(index)
    keep_alive = b"close" not in index.get(b"connection", b"").lower()
    return Head(raw, method, target, fields, index, length, chunked, keep_alive)


def _request_line(line: bytes) -> tuple[bytes, bytes]:
    parts = line.split(b" ")
    if len(parts) != 3 or not _TOKEN.fullmatch(parts[0]):
        raise Malformed(400, "the request line is not 'METHOD target HTTP/1.1'")
    method, target, version = parts
    if version != b"HTTP/1.1":
        raise Malformed(505, f"this server speaks HTTP/1.1, not {version[:20].decode('latin-1')!r}")
    if not _ORIGIN_FORM.fullmatch(target):
        raise Malformed(400, "the target is not a path: absolute form and CONNECT belong to a proxy")
    return method, target


def parse_field(line: bytes) -> Field:
    """`Name: value` with blanks round the value removed; raises Malformed."""
    name, colon, value = line.partition(b":")
    if not colon or not _TOKEN.fullmatch(name):
        raise Malformed(400, "a header line is not 'Name: value'")
    if _CONTROL.search(value):
        raise Malformed(400, "a header value has a control character")
    return name, value.strip(b" \t")


def _framing(index: dict[bytes, bytes]) -> tuple[int, bool]:
    """(content length, chunked); RFC 9112 6.3 lets a server refuse both together, and a provider's edge does."""
    length, coding = index.get(b"content-length"), index.get(b"transfer-encoding")
    if coding is not None:
        if length is not None:
            raise Malformed(400, "both Content-Length and Transfer-Encoding")
        if coding.lower() != b"chunked":
            raise Malformed(501, "a transfer coding other than 'chunked'")
        return 0, True
    if length is None:
        return 0, False
    if not _DIGITS.fullmatch(length):
        raise Malformed(400, "Content-Length is not a number")
    if int(length) > MAX_BODY:
        raise Malformed(413, f"the body is longer than {MAX_BODY} bytes")
    return int(length), False


def render_head(status: int, fields: list[Field]) -> bytes:
    """Status line, fields and the empty line."""
    lines = [b"HTTP/1.1 %d %b" % (status, _REASONS.get(status, b"Unknown"))]
    lines.extend([b"%b: %b" % field for field in fields])
    return b"\r\n".join(lines) + b"\r\n\r\n"


def render_chunk(data: bytes) -> bytes:
    """One chunk of the chunked coding; `data` must not be empty."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def render_last_chunk(trailers: tuple[Field, ...] = ()) -> bytes:
    """The end of a chunked body."""
    return b"0\r\n" + b"".join([b"%b: %b\r\n" % field for field in trailers]) + b"\r\n"
