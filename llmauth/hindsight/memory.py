"""The memory of a serving process: the last requests that are over, those that run, and who waits for the next one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from secrets import token_hex

from llmauth.hindsight.ids import begins
from llmauth.hindsight.remembered import Remembered

KEPT = 1000
"""Requests that are remembered: about two megabytes."""
MOST = KEPT

Running = Callable[[], Iterable[Remembered]]


class Memory:
    """Lives on one event loop. `run` names this one: the numbers of another process are others.

    The requests that are over have the numbers 1, 2, 3 …, in the order of their ends.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self.run = token_hex(4)
        self.last = 0
        self._over: deque[Remembered] = deque(maxlen=kept)
        self._waiting: list[asyncio.Future[None]] = []
        self._running: Running = tuple
        self._settle: Callable[[], None] = _nothing

    def watch(self, running: Running) -> None:
        """From now on these run, as far as anybody asks."""
        self._running = running

    def settle_by(self, settle: Callable[[], None]) -> None:
        """Whoever tells of requests in batches can be asked by this to tell of those that are over already."""
        self._settle = settle

    def settle(self) -> None:
        """Be told of what is over already."""
        self._settle()

    def keep(self, ended: Iterable[Remembered]) -> None:
        """Remember requests that are over, and wake whoever waits for them."""
        for one in ended:
            self._over.append(one)
            self.last += 1
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def recent(self, limit: int, *, after: int | None = None, user: str | None = None) -> list[tuple[int, Remembered]]:
        """The last requests that are over, the oldest first: those of this user, with a number beyond `after`."""
        return list(islice(self._newest(after, user), min(limit, MOST)))[::-1]

    def next(self, limit: int, after: int, *, user: str | None = None) -> list[tuple[int, Remembered]]:
        """The first ones with a number beyond `after`, the oldest first."""
        return list(self._newest(after, user))[::-1][:limit]

    def running(self, *, user: str | None = None) -> list[Remembered]:
        """Those that run, the oldest first."""
        return [one for one in sorted(self._running(), key=lambda one: one.at) if is_of(one, user)]

    def find(self, name: str, *, user: str | None = None) -> list[Remembered]:
        """The requests that an id means, ours or the provider's, the newest last.

        Of a whole id these are few: a client may give one to several requests. Where it is none, it may be the
        beginning of one of ours, with or without its `req_`.
        """
        every = [*(one for _, one in self.recent(MOST, user=user)), *self.running(user=user)]
        return matching(name, every)

    async def beyond(self, number: int, seconds: float) -> None:
        """Return when a request with a higher number is over, or after so many seconds."""
        if self.last != number:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(future, seconds)
        finally:
            with suppress(ValueError):  # whoever is woken is in the list no more
                self._waiting.remove(future)

    def ids(self, *, user: str | None = None) -> list[str]:
        """Of all requests that are over, or of this user's."""
        return [one.request_id for one in self._over if is_of(one, user)]

    def _newest(self, after: int | None, user: str | None) -> Iterator[tuple[int, Remembered]]:
        for back, one in enumerate(reversed(self._over)):
            number = self.last - back
            if after is not None and number <= after:
                return
            if is_of(one, user):
                yield number, one


def _nothing() -> None:
    """All is told at once."""


def is_of(one: Remembered, user: str | None) -> bool:
    """Whether it is this user's; without one, whatever it is."""
    return user is None or (one.identity is not None and one.identity.user == user)


def matching(name: str, every: Sequence[Remembered]) -> list[Remembered]:
    """Those among these that an id means; see `Memory.find`."""
    whole = [one for one in every if name in (one.request_id, one.provider_request_id)]
    return whole or [one for one in every if begins(one.request_id, name)]
