"""A worker's side: the process that counts for all workers, asked over one connection, many questions at a time."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmauth.governance.backends import LEASE_SECONDS, Answer, BackendFailed
from llmauth.governance.broker_wire import Broken, packed, received, scopes_as_words, short
from llmauth.governance.demands import Demand, Reading, Settlement


class BrokerBackend:
    """One connection, which is the lease: whoever counts frees what ran here when it ends."""

    width = 256
    place = "the parent process of this machine's workers"
    lease = LEASE_SECONDS  # a beat finds a parent that hangs; one that ended is seen at once

    def __init__(self, path: Path) -> None:
        self._path = path
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[list[Any]]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._reads: asyncio.Task[None] | None = None

    async def enter(self, holder: str, former: str | None, running: Mapping[str, int]) -> None:
        """Connect anew: with the former connection ends what it held."""
        await self.close()
        try:
            with short(self._path) as address:
                reader, self._writer = await asyncio.open_unix_connection(address)
        except OSError:
            raise BackendFailed("cannot be reached") from None
        self._reads = asyncio.ensure_future(self._read(reader))
        await self._asked("enter", running)

    async def beat(self, holder: str) -> bool:
        """Whether it still answers."""
        (known,) = await self._asked("beat")
        return bool(known)

    async def admit(self, holder: str, demand: Demand) -> Answer:
        """Take all of it or nothing."""
        told = await self._asked("admit", scopes_as_words(demand.scopes), demand.reserved, demand.nanos)
        if told == [False]:
            return Answer(admitted=False, known=False)
        try:
            _, admitted, wall, readings = told
            return Answer(bool(admitted), tuple([Reading(*each) for each in readings]), float(wall))
        except (ValueError, TypeError):
            raise BackendFailed("answered something that cannot be read") from None

    async def settle(self, holder: str, settlement: Settlement, *, ends: bool) -> None:
        """Add what a request used; the order of messages makes an answer needless."""
        scopes = scopes_as_words(settlement.scopes)
        self._say(None, "settle", scopes, settlement.tokens, settlement.nanos, list(settlement.began), ends)

    async def leave(self, holder: str) -> None:
        """The end of the connection says it."""

    async def close(self) -> None:
        """End the connection, and with it whatever is still asked."""
        if self._reads is not None:
            self._reads.cancel()
        if self._writer is not None:
            self._writer.close()
        self._ended()

    async def _asked(self, *words: Any) -> list[Any]:
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._say(number, *words)
            words_back: list[Any] = await answer
            return words_back
        finally:
            self._waiting.pop(number, None)

    def _say(self, *words: Any) -> None:
        if self._writer is None or self._writer.is_closing():
            raise BackendFailed("has ended the connection")
        self._writer.write(packed(*words))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        writer = self._writer
        try:
            while True:
                number, *words = await received(reader)
                waiting = self._waiting.get(number)
                if waiting is not None and not waiting.done():
                    waiting.set_result(words)
        except (EOFError, OSError, Broken, ValueError, TypeError):
            pass
        finally:
            if writer is not None:
                writer.close()
            if writer is self._writer:
                self._ended()

    def _ended(self) -> None:
        self._writer = None
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(BackendFailed("has ended the connection"))
        self._waiting.clear()
