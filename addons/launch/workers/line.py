"""The line between the parent and one worker: JSON objects, one a line, which ends when either of them does."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

Message = Mapping[str, Any]

LONGEST = 64 * 1024 * 1024
"""Bytes of one message: the metrics of a worker, which are a thousandth of it."""
_PIECE = 1 << 18


class Line:
    """The parent's end: says and hears without ever waiting."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end
        self._unsaid = bytearray()
        self._heard = bytearray()

    def fileno(self) -> int:
        """What becomes readable and writable; -1 once it is closed."""
        return self._end.fileno()

    @property
    def is_behind(self) -> bool:
        """Whether something is still to be said."""
        return bool(self._unsaid)

    def say(self, **message: Any) -> None:
        """Say it now, or as soon as the other end takes it."""
        self._unsaid += json.dumps(message).encode("ascii") + b"\n"
        self.go_on()

    def go_on(self) -> None:
        """Say what the other end takes now. One that is gone takes everything: its end is heard where one listens."""
        try:
            while self._unsaid:
                del self._unsaid[: self._end.send(self._unsaid)]
        except BlockingIOError:
            pass
        except OSError:
            self._unsaid.clear()

    def heard(self) -> tuple[list[Message], bool]:
        """What was said since, and whether the other end is still there."""
        there = True
        try:
            while piece := self._end.recv(_PIECE):
                self._heard += piece
            there = False
        except BlockingIOError:
            pass
        except OSError:
            there = False
        *whole, rest = self._heard.split(b"\n")
        self._heard = bytearray(rest)
        try:
            return [json.loads(one) for one in whole], there and len(rest) < LONGEST
        except ValueError:
            return [], False  # a worker that no longer knows what it says is not asked any more

    def close(self) -> None:
        """End it."""
        self._end.close()


class ToParent:
    """The worker's end, in its event loop."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def open(self) -> None:
        """Take it into the running loop."""
        self._end.setblocking(False)
        self._reader, self._writer = await asyncio.open_connection(sock=self._end, limit=LONGEST)
        self._writer.transport.set_write_buffer_limits(0)

    def say(self, **message: Any) -> None:
        """Say it; to a parent that is gone, nothing."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(json.dumps(message).encode("ascii") + b"\n")

    async def next(self) -> Message | None:
        """What the parent says next; `None` when it is gone."""
        assert self._reader is not None
        with suppress(OSError, ValueError):
            line = await self._reader.readline()
            return json.loads(line) if line.endswith(b"\n") else None
        return None

    async def said(self, limit: float) -> None:
        """Wait until the parent has all of it, but no longer than `limit` seconds."""
        if self._writer is not None:
            with suppress(OSError, TimeoutError):
                await asyncio.wait_for(self._writer.drain(), limit)
