"""Keeps the keys in memory true to the database: what changes there is known here within a second, or nothing is."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable

from llmauth.clock import Clock
from llmauth.storage.home import StateError, StateUnusable
from llmauth.storage.keys import STALE_SECONDS
from llmauth.storage.records import Snapshot
from llmauth.storage.registry import KeyRegistry

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2
TOUCH_SECONDS = 1.0
# How long a request may wait for somebody else's question to the database.
TURN_SECONDS = 1.0
# Sessions are deleted a day after their end. From time to time all is read anew, so that memory forgets them too.
TIDY_SECONDS = 3_600.0
WHOLE_EVERY = 6


class KeyFeed:
    """Two daemon threads: one asks the database for changes, the other writes the times of last use.

    `fresh_at` is the monotonic time at which the last successful reading began, `failing` whether one failed since.
    Whoever uses a key puts its id and the Unix time into `used`; a plain dictionary, since an assignment is all that a
    request may wait for.
    """

    def __init__(self, store: KeyRegistry, on_snapshot: Callable[[Snapshot], None], clock: Clock) -> None:
        self.fresh_at = -math.inf
        self.failing = False
        self.used: dict[str, float] = {}
        self._store = store
        self._on_snapshot = on_snapshot
        self._clock = clock
        self._version: tuple[int, int] | None = None
        self._whole = False
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
            self._poll()

    def catch_up(self) -> None:
        """Ask the database now, before a key is judged that nobody knows yet, and wait for nothing that hangs.

        StateError when it cannot be read: then what is known counts, as long as that is not stale.
        """
        if self.failing or not self._reading.acquire(timeout=TURN_SECONDS):
            raise StateUnusable("The key database does not answer.")
        try:
            self._poll()
        finally:
            self._reading.release()

    def _poll(self) -> None:
        began = self._clock.monotonic()
        try:
            version = self._store.version()
            if version != self._version or self._whole:
                self._on_snapshot(self._store.snapshot(0 if self._whole else self._known(version)))
                self._version, self._whole = version, False
        except BaseException:
            self.failing = True
            raise
        self.fresh_at, self.failing = began, False

    def _known(self, version: tuple[int, int]) -> int:
        """The revision up to which everything is known: none in a file that is not the one that was read before."""
        if self._version is None or self._version[0] != version[0] or self._version[1] > version[1]:
            return 0
        return self._version[1]

    def is_stale(self) -> bool:
        """Whether the keys in memory are too old to be judged by."""
        return self._clock.monotonic() - self.fresh_at > self._store.stale_after

    def _follow(self) -> None:
        outage = _Outage(self._store.stale_after)
        while not self._stopping.wait(POLL_SECONDS):
            try:
                self.poll()
            except Exception as error:  # whatever it is: the thread goes on asking, and the keys grow stale meanwhile
                outage.goes_on(error, stale=self.is_stale())
            else:
                outage.is_over()

    def _write_used(self) -> None:
        rounds = 0
        while not self._stopping.wait(TOUCH_SECONDS):
            self._flush()
            rounds += 1
            if rounds % int(TIDY_SECONDS / TOUCH_SECONDS) == 0:
                self._tidy()
                self._whole = self._whole or rounds % int(WHOLE_EVERY * TIDY_SECONDS / TOUCH_SECONDS) == 0
        self._flush()

    def _tidy(self) -> None:
        try:
            self._store.forget_sessions()
        except Exception as error:  # they take a little room until the next time
            log.warning("sessions that are over cannot be deleted", extra=_facts(error))

    def _flush(self) -> None:
        used = _drain(self.used)
        try:
            self._store.touch(used)
        except Exception as error:  # not worth refusing anybody for; the times are kept and tried again
            log.warning("times of last use cannot be written", extra=_facts(error))
            for key_id, at in used.items():
                self.used.setdefault(key_id, at)


class _Outage:
    """Says in the log when the store cannot be read, when keys are no longer accepted for it, and when it is over."""

    def __init__(self, bridged: float) -> None:
        self._bridged = bridged
        self._said: str | None = None

    def goes_on(self, error: Exception, *, stale: bool) -> None:
        """One more reading failed."""
        if stale or self._bridged <= STALE_SECONDS:
            self._say(logging.ERROR, "key store cannot be read, keys are not accepted until it can", error)
        else:
            self._say(logging.WARNING, "key store cannot be read, keys are accepted as they were known", error)

    def is_over(self) -> None:
        """A reading succeeded."""
        if self._said is not None:
            log.info("key store can be read again")
        self._said = None

    def _say(self, level: int, sentence: str, error: Exception) -> None:
        if sentence != self._said:
            log.log(level, sentence, extra={**_facts(error), "seconds": self._bridged})
        self._said = sentence


def _drain(used: dict[str, float]) -> dict[str, float]:
    """Take all entries, one atomic step each: requests put in new ones meanwhile."""
    taken = {}
    while used:
        key_id, at = used.popitem()
        taken[key_id] = at
    return taken


def _facts(error: Exception) -> dict[str, str]:
    return {"error": type(error).__name__, "cause": str(error) if isinstance(error, StateError) else ""}
