"""Writes one answer to the wire, as its behaviour says: when, in which pieces, framed how, and how it ends."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterable, Iterator
from typing import Protocol

from llmauth.demo.behaviour import Behaviour, Cut, Framing
from llmauth.demo.emulator import PAUSE, Answer
from llmauth.demo.http1 import Field, render_chunk, render_head, render_last_chunk
from llmauth.demo.recorder import Entry

_WRITE = 64 * 1024


class Wire(Protocol):
    """The connection that an answer is written to."""

    def write(self, data: bytes) -> None:
        """Hand bytes to the socket."""

    async def drain(self) -> None:
        """Wait while the peer reads slower than we write."""

    async def end(self, how: Cut) -> None:
        """Let what was written reach the peer, then end the connection."""


class _Ended(Exception):
    """The behaviour ended the connection inside the body."""


class Delivery:
    """One answer on its way. `deliver` returns whether the connection may be used again."""

    def __init__(self, wire: Wire, entry: Entry, behaviour: Behaviour, pace: float) -> None:
        self._wire = wire
        self._entry = entry
        self._behaviour = behaviour
        self._pace = pace if behaviour.chunk_delay is None else behaviour.chunk_delay
        self._written = 0
        limits = (behaviour.cut_after, behaviour.stall_after)
        self._limit = min((limit for limit in limits if limit is not None), default=None)

    async def deliver(self, answer: Answer, *, bodiless: bool, keep_alive: bool) -> bool:
        """Write it all, or as much as the behaviour allows."""
        behaviour = self._behaviour
        for status in behaviour.interim:
            self._wire.write(render_head(status, [(b"link", b"</style.css>; rel=preload")] if status == 103 else []))
        if behaviour.hang:
            await asyncio.Event().wait()
        if behaviour.first_byte_delay:
            await asyncio.sleep(behaviour.first_byte_delay)
        if behaviour.raw is not None:
            return await self._deliver_raw(behaviour.raw)
        framing, body = self._frame(answer)
        keep_alive = keep_alive and framing is not Framing.CLOSE
        fields = _head_fields(answer, framing, body, keep_alive=keep_alive)
        self._entry.begun(answer.status, fields)
        self._wire.write(render_head(answer.status, fields))
        try:
            if not bodiless:
                await self._deliver_body(body, framing)
        except _Ended:
            await self._wire.end(behaviour.cut)
            return False
        await self._wire.drain()
        self._entry.answered()
        if behaviour.hang_up or not keep_alive:
            await self._wire.end(Cut.CLOSE)
            return False
        return True

    async def _deliver_raw(self, raw: bytes) -> bool:
        self._entry.begun(0, [])
        self._entry.answered()
        self._wire.write(raw)
        if self._behaviour.stays:
            await self._wire.drain()
            return True
        await self._wire.end(self._behaviour.cut)
        return False

    def _frame(self, answer: Answer) -> tuple[Framing, bytes | Iterator[bytes]]:
        """How the body is framed, and the body as that framing needs it: whole for Content-Length."""
        behaviour = self._behaviour
        framing, body = behaviour.framing, answer.body
        if framing is Framing.AUTO:
            known = isinstance(body, bytes) and not behaviour.trailers
            framing = Framing.LENGTH if known else Framing.CHUNKED
        if behaviour.gzip:
            body = _gzipped([body] if isinstance(body, bytes) else body)
            answer.fields.append((b"content-encoding", b"gzip"))
        if framing is Framing.LENGTH and not isinstance(body, bytes):
            body = b"".join(body)
        return framing, body

    async def _deliver_body(self, body: bytes | Iterator[bytes], framing: Framing) -> None:
        if self._limit == 0:
            await self._stop()
        for piece in self._pieces(body):
            if piece != PAUSE:
                await self._deliver_piece(piece, framing)
            elif self._pace:
                await asyncio.sleep(self._pace)
        if framing is Framing.CHUNKED:
            self._wire.write(render_last_chunk(self._behaviour.trailers))

    def _pieces(self, body: bytes | Iterator[bytes]) -> Iterator[bytes]:
        size = self._behaviour.chunk_size
        if isinstance(body, bytes):
            for piece in _slices(body, size or _WRITE):
                yield piece
                if self._behaviour.chunk_delay is not None:
                    yield PAUSE
        elif size is None:
            yield from body
        else:
            for piece in body:
                yield from _slices(piece, size) if piece != PAUSE else (PAUSE,)

    async def _deliver_piece(self, piece: bytes, framing: Framing) -> None:
        limit = self._limit
        if limit is not None:
            piece = piece[: limit - self._written]
        self._entry.sent_pieces.append(piece)
        self._wire.write(render_chunk(piece) if framing is Framing.CHUNKED else piece)
        self._written += len(piece)
        await self._wire.drain()
        if self._written == limit:
            await self._stop()

    async def _stop(self) -> None:
        if self._behaviour.stall_after == self._limit:
            await asyncio.Event().wait()
        raise _Ended


def adapted(answer: Answer, behaviour: Behaviour) -> Answer:
    """The answer with what the behaviour puts in place of its own status, body and headers."""
    status = behaviour.status if behaviour.status is not None and behaviour.status < 400 else answer.status
    body = answer.body if behaviour.body is None else behaviour.body
    return Answer(status, [*answer.fields, *behaviour.fields], body)


def _head_fields(answer: Answer, framing: Framing, body: bytes | Iterator[bytes], *, keep_alive: bool) -> list[Field]:
    fields = list(answer.fields)
    if answer.status in (204, 304):
        pass  # RFC 9110 8.6: no Content-Length in a 204; a 304 need not have one
    elif framing is Framing.LENGTH:
        fields.append((b"content-length", b"%d" % len(body) if isinstance(body, bytes) else b"0"))
    elif framing is Framing.CHUNKED:
        fields.append((b"transfer-encoding", b"chunked"))
    fields.append((b"connection", b"keep-alive" if keep_alive else b"close"))
    return fields


def _slices(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def _gzipped(pieces: Iterable[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(wbits=31)
    for piece in pieces:
        yield piece if piece == PAUSE else packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH)
    yield packer.flush()
