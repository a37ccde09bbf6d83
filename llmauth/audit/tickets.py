"""A ticket for each record: it tells that the record was written, without anybody asking the disk."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from contextlib import suppress

from llmauth.audit.records import Record
from llmauth.errors import Unavailable

STUCK_SECONDS = 5.0
_Waiter = asyncio.Future[None] | threading.Event


def not_recorded(detail: str = "") -> Unavailable:
    """The refusal where a decision cannot be written down."""
    return Unavailable(
        "What is decided cannot be recorded now, so nothing is allowed.", detail=f"audit: {detail}", retry_after=5
    )


class Ticket:
    """`written` tells that the record is where its grade demands; `failed` that it never will be.

    One that is `gathered` may wait for others, until `hurry` tells that somebody waits for a record.
    """

    __slots__ = ("_hurry", "_lock", "_waiting", "at", "durable", "failed", "gathered", "record", "written")

    def __init__(
        self,
        record: Record,
        at: float,
        durable: bool,
        lock: threading.Lock,
        hurry: threading.Event,
        gathered: bool = False,
    ) -> None:
        self.record = record
        self.at = at
        self.durable = durable
        self.gathered = gathered
        self._hurry = hurry
        self.written = False
        self.failed = False
        self._lock = lock
        self._waiting: tuple[_Waiter, ...] = ()

    async def wait(self) -> None:
        """Return when it is written; Unavailable when it cannot be, or not within five seconds."""
        if self.written:
            return
        future = asyncio.get_running_loop().create_future()
        if self._enlist(future):
            with suppress(TimeoutError):
                await asyncio.wait_for(future, STUCK_SECONDS)
        self._require_written()

    def wait_blocking(self, timeout: float = STUCK_SECONDS) -> None:
        """The same for a thread that may wait."""
        event = threading.Event()
        if self._enlist(event):
            event.wait(timeout)
        self._require_written()

    def _enlist(self, waiter: _Waiter) -> bool:
        with self._lock:
            if self.written or self.failed:
                return False
            self._waiting = (*self._waiting, waiter)
        self._hurry.set()
        return True

    def _require_written(self) -> None:
        if not self.written:
            raise not_recorded("the record was not written" if self.failed else "the record is not written yet")

    def _settle(self, written: bool) -> tuple[_Waiter, ...]:
        if written:
            self.written = True
        elif not self.written:
            self.failed = True
        waiting, self._waiting = self._waiting, ()
        return waiting


def settle(tickets: Iterable[Ticket], lock: threading.Lock, *, written: bool) -> None:
    """Say of these what became of them, and wake who waits: each event loop once, and none where nobody does."""
    with lock:
        waiting = [waiter for ticket in tickets for waiter in ticket._settle(written)]
    asleep: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for waiter in waiting:
        if isinstance(waiter, threading.Event):
            waiter.set()
        else:
            asleep.setdefault(waiter.get_loop(), []).append(waiter)
    for loop, futures in asleep.items():
        with suppress(RuntimeError):  # a loop that was closed meanwhile: nobody waits there any more
            loop.call_soon_threadsafe(_wake, futures)


def _wake(futures: Iterable[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)
