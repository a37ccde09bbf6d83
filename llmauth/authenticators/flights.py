"""The few threads that compute who presented a value: each value once, however many wait for it."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from llmauth.authenticators.base import Authenticator, Presented
from llmauth.context import Identity
from llmauth.errors import GatewayError, Unavailable
from llmauth.storage.home import StateError

WORKERS = 2
# At about two milliseconds a key and two at a time, the last of a thousand callers that come back after a restart
# waits a second or two. A much shorter queue would send most of them away.
QUEUE_LIMIT = 1024


class Flights:
    """The computations that are under way, and a queue of those that wait for a thread."""

    def __init__(self, workers: int = WORKERS, queue_limit: int = QUEUE_LIMIT) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="authenticate")
        self._most = workers + queue_limit
        self._under_way: dict[tuple[str, str, str], Future[Any]] = {}

    async def identity(self, method: Authenticator, presented: Presented) -> Identity:
        """What the method computes. Raises what it raises, and Unavailable when too many wait already."""
        try:
            # Shielded: when this caller leaves, others may be waiting for the same answer.
            return await asyncio.shield(asyncio.wrap_future(self._flight(method, presented)))
        except GatewayError as error:
            # One error reaches all who waited, and each request adds its own facts to it.
            raise copy.copy(error) from None

    async def run[T](self, compute: Callable[[], T]) -> T:
        """What a function gives that is not the same twice. Raises what it raises, and Unavailable as above.

        Unavailable as well where the store cannot be asked or written: then nothing was proved and nothing given.
        """
        self._require_room()
        flight = self._pool.submit(compute)
        key = ("", "", str(id(flight)))
        self._under_way[key] = flight
        flight.add_done_callback(lambda _: self._under_way.pop(key, None))
        # Shielded: what has begun is finished, whoever leaves, so that no code is half used.
        try:
            return await asyncio.shield(asyncio.wrap_future(flight))
        except StateError as error:
            raise Unavailable(
                "Credentials cannot be checked at the moment.",
                hint="Try again in a second.",
                detail=str(error),
                retry_after=1,
            ) from None

    def _require_room(self) -> None:
        if len(self._under_way) >= self._most:
            raise Unavailable(
                "Too many credentials wait to be checked.",
                hint="Try again in a second.",
                detail="the queue of the authentication pool is full",
                retry_after=1,
            )

    def _flight(self, method: Authenticator, presented: Presented) -> Future[Identity]:
        """The one computation for this value, begun unless it is under way."""
        # By the method itself: another one of the same name may take its place, and judge by other rules.
        key = (str(id(method)), presented.user, presented.value)
        flight = self._under_way.get(key)
        if flight is None:
            self._require_room()
            flight = self._pool.submit(method.authenticate, presented)
            self._under_way[key] = flight
            flight.add_done_callback(lambda _: self._under_way.pop(key, None))
        return flight

    def close(self) -> None:
        """End the threads; what waits for one is cancelled."""
        self._pool.shutdown(wait=True, cancel_futures=True)
