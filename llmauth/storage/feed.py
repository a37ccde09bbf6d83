"""Keeps the keys in memory true to the database: what changes there is known here within a second, or nothing is."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable

from llmauth.clock import Clock
from llmauth.storage.home import StateError
from llmauth.storage.keys import KeyStore, Snapshot

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2
TOUCH_SECONDS = 1.0
# A revocation takes effect within a second, so what was read longer ago than this says nothing any more.
STALE_SECONDS = 1.0


class KeyFeed:
    """Two daemon threads: one asks the database for changes, the other writes the times of last use.

    `fresh_at` is the monotonic time at which the last successful reading began. Whoever uses a key puts its id and the
    Unix time into `used`; a plain dictionary, since an assignment is all that a request may wait for.
    """

    def __init__(self, store: KeyStore, on_snapshot: Callable[[Snapshot], None], clock: Clock) -> None:
        self.fresh_at = -math.inf
        self.used: dict[str, float] = {}
        self._store = store
        self._on_snapshot = on_snapshot
        self._clock = clock
        self._version: tuple[int, int] | None = None
        self._reading = threading.Lock()
        self._stopping = threading.Event()
        self._threads: tuple[threading.Thread, ...] = ()

    def start(self) -> None:
        """Load the keys (StateError when that fails: better no start than an open or a dead door), then follow them."""
        self.poll()
        self._threads = (
            threading.Thread(target=self._follow, name="keys-follow", daemon=True),
            threading.Thread(target=self._write_used, name="keys-last-used", daemon=True),
        )
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End both threads; the times of last use are written once more."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def poll(self) -> None:
        """Ask the database now; StateError when it cannot be read."""
        with self._reading:
            began = self._clock.monotonic()
            version = self._store.version()
            if version != self._version:
                self._on_snapshot(self._store.snapshot(self._known(version)))
                self._version = version
            self.fresh_at = began

    def _known(self, version: tuple[int, int]) -> int:
        """The revision up to which everything is known: none in a file that is not the one that was read before."""
        if self._version is None or self._version[0] != version[0] or self._version[1] > version[1]:
            return 0
        return self._version[1]

    def is_stale(self) -> bool:
        """Whether the keys in memory are too old to be judged by."""
        return self._clock.monotonic() - self.fresh_at > STALE_SECONDS

    def _follow(self) -> None:
        readable = True
        while not self._stopping.wait(POLL_SECONDS):
            try:
                self.poll()
            except Exception as error:  # whatever it is: the thread goes on asking, and the keys grow stale meanwhile
                if readable:
                    log.error("key store cannot be read, keys are not accepted until it can", extra=_facts(error))
                readable = False
            else:
                if not readable:
                    log.info("key store can be read again")
                readable = True

    def _write_used(self) -> None:
        while not self._stopping.wait(TOUCH_SECONDS):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        used = _drain(self.used)
        try:
            self._store.touch(used)
        except Exception as error:  # not worth refusing anybody for; the times are kept and tried again
            log.warning("times of last use cannot be written", extra=_facts(error))
            for key_id, at in used.items():
                self.used.setdefault(key_id, at)


def _drain(used: dict[str, float]) -> dict[str, float]:
    """Take all entries, one atomic step each: requests put in new ones meanwhile."""
    taken = {}
    while used:
        key_id, at = used.popitem()
        taken[key_id] = at
    return taken


def _facts(error: Exception) -> dict[str, str]:
    return {"error": type(error).__name__, "cause": str(error) if isinstance(error, StateError) else ""}
