"""The process that counts for the workers of one machine: limits in its memory, behind a socket of its owner's."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from llmauth.governance.broker_wire import (
    Broken,
    demand_from_words,
    packed,
    received,
    settlement_from_words,
    short,
)
from llmauth.governance.memory import MemoryLimiter

logger = logging.getLogger(__name__)


class BrokerServer:
    """Answers on one Unix socket. A worker whose connection ends has nothing running any longer."""

    def __init__(self, limiter: MemoryLimiter | None = None) -> None:
        self._limiter = MemoryLimiter() if limiter is None else limiter
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def serve(self, path: Path) -> None:
        """Listen at this path, for its owner alone, until `stop`; a socket that a killed process left is replaced."""
        listener = _listener(path)
        self._server = await asyncio.start_unix_server(self._connected, sock=listener)

    async def stop(self) -> None:
        """Close the socket and all connections."""
        if self._server is not None:
            self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    @contextmanager
    def in_background(self, path: Path) -> Iterator[None]:
        """Serve in a thread, for a process that has no event loop."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="limits", daemon=True)
        thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self.serve(path), loop).result()
            yield
        finally:
            asyncio.run_coroutine_threadsafe(self.stop(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
            path.unlink(missing_ok=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        worker = _Worker(self._limiter)
        try:
            if _is_ours(writer.get_extra_info("socket")):
                while True:
                    number, *words = await received(reader)
                    answer = worker.answer(words)
                    if number is not None:
                        writer.write(packed(number, *answer))
                        await writer.drain()
        except (EOFError, OSError, asyncio.CancelledError):
            pass
        except (Broken, ValueError, TypeError, LookupError, AttributeError) as error:
            logger.warning("A worker said something about limits that cannot be read.", extra={"why": str(error)[:100]})
        finally:
            worker.ends()
            self._connections.discard(task)
            writer.close()


class _Worker:
    """One connection, and what it has running."""

    def __init__(self, limiter: MemoryLimiter) -> None:
        self._limiter = limiter
        self._held: Counter[str] = Counter()
        self._entered = False

    def answer(self, words: list[Any]) -> list[Any]:
        """What becomes of one message."""
        match words:
            case ["enter", dict(running)]:
                self.ends()
                self._entered = True
                self._holds(running)
                return []
            case ["admit", scopes, int(tokens), int(nanos)] if self._entered:
                return self._admit(scopes, tokens, nanos)
            case ["settle", scopes, int(tokens), int(nanos), began, bool(ends)]:
                settlement = settlement_from_words(scopes, tokens, nanos, began)
                if ends:
                    self._held.subtract(scope.key for scope in settlement.scopes if scope.concurrent is not None)
                self._limiter.apply(settlement, ends=ends)
                return []
            case ["beat"] | ["admit", *_]:
                return [self._entered]
        raise ValueError("no such question")

    def ends(self) -> None:
        """Nothing of it runs any longer."""
        for key, count in self._held.items():
            self._limiter.occupy(key, -count)
        self._held.clear()

    def _holds(self, running: dict[str, int]) -> None:
        for key, count in running.items():
            self._held[key] += int(count)
            self._limiter.occupy(key, int(count))

    def _admit(self, scopes: list[Any], tokens: int, nanos: int) -> list[Any]:
        demand = demand_from_words(scopes, tokens, nanos)
        permit = self._limiter.try_now(demand)
        if permit.open:
            self._held.update(scope.key for scope in demand.scopes if scope.concurrent is not None)
        return [True, permit.open, self._limiter.wall(), permit.readings]


def _listener(path: Path) -> socket.socket:
    """A socket that is 0600 from its first moment on."""
    with contextlib.suppress(FileNotFoundError):
        if path.is_socket():
            path.unlink()
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        with short(path) as address:
            listener.bind(address)
    except BaseException:
        listener.close()
        raise
    finally:
        os.umask(before)
    return listener


def _is_ours(connection: socket.socket) -> bool:
    """Whether a process of our own user is at the other end, where the system tells that."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    size = struct.calcsize("3i")
    _, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return bool(user in (os.geteuid(), 0))
