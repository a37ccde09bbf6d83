"""The meter of a compressed answer: it decodes a copy, piece by piece and within limits, for the meter within."""

from __future__ import annotations

import zlib

from llmauth.usage.meter import Meter, Reading, Reason

AT_ONCE = 8 * 1024 * 1024  # decoded bytes of one piece: many times what anybody's answer grows to
MOST = 256 * 1024 * 1024  # decoded bytes of an answer
CODINGS = frozenset({b"gzip", b"x-gzip", b"deflate"})

_STEP = 64 * 1024
_GZIP = zlib.MAX_WBITS | 16
_ZLIB = zlib.MAX_WBITS
_BARE = -zlib.MAX_WBITS


class Decoded:
    """Gzip and deflate. What cannot be decoded ends the reading; what was told before it counts."""

    __slots__ = ("_begun", "_inner", "_left", "_wbits", "_why", "_zlib")

    def __init__(self, inner: Meter, coding: bytes) -> None:
        self._inner = inner
        self._wbits = 0 if coding == b"deflate" else _GZIP
        self._zlib = zlib.decompressobj(wbits=self._wbits or _ZLIB)
        self._begun = b""
        self._left = MOST
        self._why: Reason | None = None

    def feed(self, data: bytes) -> None:
        """Decoded and handed on."""
        if self._why is None and (data := self._known(data)):
            try:
                self._decode(data)
            except zlib.error:
                self._why = Reason.BROKEN

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

    def _decode(self, data: bytes) -> None:
        end = max(0, self._left - AT_ONCE)
        more = True
        while data or more:
            plain = self._zlib.decompress(data, _STEP)
            more = len(plain) == _STEP  # there may be more that needs no further byte
            self._left -= len(plain)
            if self._left <= end:
                self._why = Reason.TOO_LARGE
                return
            if plain:
                self._inner.feed(plain)
            data = self._zlib.unconsumed_tail or self._next_member()

    def _next_member(self) -> bytes:
        """ "A gzip file consists of a series of members" (RFC 1952, 2.2); what follows the last may be another."""
        rest = self._zlib.unused_data if self._zlib.eof else b""
        if rest:
            self._zlib = zlib.decompressobj(wbits=self._wbits)
        return rest

    def reading(self, *, cut: bool = False) -> Reading:
        """What the decoded bytes tell."""
        reading = self._inner.reading(cut=cut)
        return reading if reading.lacks is None or self._why is None else Reading(reading.usage, self._why)
