"""The meter of a compressed answer: it decodes a copy, piece by piece and within limits, for the meter within."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Protocol

import brotli  # type: ignore[import-untyped]
import zstandard

from llmauth.usage.meter import Meter, Reading, Reason

AT_ONCE = 8 * 1024 * 1024  # decoded bytes of one piece: many times what anybody's answer grows to
MOST = 256 * 1024 * 1024  # decoded bytes of an answer

_STEP = 64 * 1024
_GZIP = zlib.MAX_WBITS | 16
_ZLIB = zlib.MAX_WBITS
_BARE = -zlib.MAX_WBITS
# "It is RECOMMENDED for decoders to support values of Window_Size up to 8 MB" (RFC 9659, 3, and no more is to be sent).
_WINDOW = 8 * 1024 * 1024
_FAILED = (zlib.error, brotli.error, zstandard.ZstdError)

_Take = Callable[[bytes], None]


class _TooMuch(Exception):
    """More was decoded than anybody's answer holds."""


class Coding(Protocol):
    """One coding, in the middle of a body."""

    def feed(self, data: bytes, take: _Take) -> None:
        """What these bytes decode to, in bounded pieces; one of `_FAILED` for what is not so coded."""
        ...


class _Deflate:
    """Gzip and deflate."""

    __slots__ = ("_begun", "_wbits", "_zlib")

    def __init__(self, wbits: int) -> None:
        self._wbits = wbits
        self._zlib = zlib.decompressobj(wbits=wbits or _ZLIB)
        self._begun = b""

    def feed(self, data: bytes, take: _Take) -> None:
        data = self._known(data)
        more = bool(data)
        while data or more:
            plain = self._zlib.decompress(data, _STEP)
            more = len(plain) == _STEP  # there may be more that needs no further byte
            take(plain)
            data = self._zlib.unconsumed_tail or self._next_member()

    def _known(self, data: bytes) -> bytes:
        """Nothing until it is known how these bytes are coded.

        "deflate" is the zlib format, but "some non-conformant implementations send the 'deflate' compressed data
        without the zlib wrapper" (RFC 9110, 8.4.1.2), whose first two bytes tell.
        """
        if self._wbits:
            return data
        self._begun += data
        if len(self._begun) < 2:
            return b""
        wrapped = self._begun[0] & 0x0F == zlib.DEFLATED and int.from_bytes(self._begun[:2], "big") % 31 == 0
        self._wbits = _ZLIB if wrapped else _BARE
        self._zlib = zlib.decompressobj(wbits=self._wbits)
        begun, self._begun = self._begun, b""
        return begun

    def _next_member(self) -> bytes:
        """ "A gzip file consists of a series of members" (RFC 1952, 2.2); what follows the last may be another."""
        rest = self._zlib.unused_data if self._zlib.eof else b""
        if rest:
            self._zlib = zlib.decompressobj(wbits=self._wbits)
        return rest


class _Brotli:
    __slots__ = ("_brotli",)

    def __init__(self) -> None:
        self._brotli = brotli.Decompressor()

    def feed(self, data: bytes, take: _Take) -> None:
        while not self._brotli.is_finished():
            plain = self._brotli.process(data, output_buffer_limit=_STEP)
            if not plain:
                return
            take(plain)
            data = b""  # there may be more that needs no further byte


class _Zstandard:
    """Its own pieces are as long as a block may be; whoever takes one may refuse the rest."""

    __slots__ = ("_take", "_writer")

    def __init__(self) -> None:
        self._take: _Take | None = None
        decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
        self._writer = decompressor.stream_writer(self, closefd=False)  # type: ignore[arg-type]

    def write(self, plain: bytes) -> int:
        assert self._take is not None
        self._take(bytes(plain))
        return len(plain)

    def feed(self, data: bytes, take: _Take) -> None:
        self._take = take
        try:
            self._writer.write(data)
        finally:
            self._take = None


_KNOWN: dict[bytes, Callable[[], Coding]] = {
    b"gzip": lambda: _Deflate(_GZIP),
    b"x-gzip": lambda: _Deflate(_GZIP),
    b"deflate": lambda: _Deflate(0),
    b"br": _Brotli,
    b"zstd": _Zstandard,
}
CODINGS = frozenset(_KNOWN)


class Decoded:
    """What cannot be decoded ends the reading; what was told before it counts."""

    __slots__ = ("_coding", "_decoded", "_end", "_inner", "_why")

    def __init__(self, inner: Meter, coding: bytes) -> None:
        self._inner = inner
        self._coding = _KNOWN[coding]()
        self._decoded = 0
        self._end = 0
        self._why: Reason | None = None

    def feed(self, data: bytes) -> None:
        """Decoded and handed on."""
        if self._why is not None:
            return
        self._end = min(MOST, self._decoded + AT_ONCE)
        try:
            self._coding.feed(data, self._take)
        except _FAILED:
            self._why = Reason.BROKEN
        except _TooMuch:
            self._why = Reason.TOO_LARGE

    def _take(self, plain: bytes) -> None:
        self._decoded += len(plain)
        if self._decoded >= self._end:
            raise _TooMuch
        if plain:
            self._inner.feed(plain)

    def reading(self, *, cut: bool = False) -> Reading:
        """What the decoded bytes tell."""
        reading = self._inner.reading(cut=cut)
        lacks = reading.lacks if reading.lacks is None or self._why is None else self._why
        return Reading(reading.usage, lacks, self._decoded)
