"""The lease of an issuer's keys: fetched beside the requests before they are old, and for a key unheard of."""

from __future__ import annotations

import logging
import math
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass

from llmauth.authenticators.oidc.keyset import KeySet
from llmauth.authenticators.oidc.provider import Published
from llmauth.clock import Clock
from llmauth.errors import Unavailable
from llmauth.sources import SourceFailed

log = logging.getLogger(__name__)

STALE_SECONDS = 86_400.0
"""For how long keys are good that could not be fetched again."""
SEEK_SECONDS = 30.0
"""Between two fetches for a key that is not among those we have."""

_SHARE = 0.8
# Renewals only move earlier by jitter, so that replicas do not ask at the same time.
_JITTER = 0.1
# With four seconds for an attempt, whoever is back is noticed within fifteen.
_BACK_OFF = (1.0, 2.0, 4.0, 8.0)
_TICK = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    keys: KeySet
    ends: float


class JwksLease:
    """One issuer's keys. `held` reads memory alone; a daemon thread fetches, one fetch at a time.

    `on_change` is told when other keys are held than before.
    """

    def __init__(
        self,
        fetch: Callable[[], Published],
        clock: Clock,
        *,
        issuer: str,
        on_change: Callable[[], None] = lambda: None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._source = fetch
        self._clock = clock
        self._issuer = issuer
        self._on_change = on_change
        self._jitter = jitter
        self._held: _Held | None = None
        self._failures = 0
        self._due = -math.inf
        self._sought = -math.inf
        self._fetching = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to fetch; an issuer that is down keeps nobody from starting."""
        self._thread = threading.Thread(target=self._follow, name="oidc-keys", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a fetch that is under way ends by its own limit of time."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=0.5)

    def held(self) -> KeySet:
        """The keys of now; Unavailable where there are none, or where they are too old to be believed."""
        held = self._held
        if held is None or self._clock.monotonic() >= held.ends:
            raise self._unavailable()
        return held.keys

    def usable(self) -> bool:
        """Whether there are keys to judge by."""
        held = self._held
        return held is not None and self._clock.monotonic() < held.ends

    def sought(self) -> KeySet:
        """The keys after one more look, for one that is not among them; blocks while it is fetched.

        At most one look in SEEK_SECONDS, the first at once. Unavailable where the issuer does not answer: then nobody
        can tell whether there is such a key.
        """
        if self._failures:  # the thread tries again soon; nobody is kept waiting for it
            raise self._unavailable()
        with self._fetching:  # whoever waited here finds what the other one fetched
            if self._clock.monotonic() >= self._sought + SEEK_SECONDS:
                self._sought = self._clock.monotonic()
                self._fetch()
        if self._failures:
            raise self._unavailable()
        return self.held()

    def tick(self) -> None:
        """Fetch the keys if that is due."""
        if self._clock.monotonic() >= self._due:
            with self._fetching:
                self._fetch()

    def _follow(self) -> None:
        while True:
            self.tick()
            if self._stopping.wait(_TICK):
                return

    def _fetch(self) -> None:
        try:
            published = self._source()
        except SourceFailed as failure:
            self._failed(str(failure))
        except Exception as error:  # whatever it is: the thread goes on, and the keys grow old meanwhile
            self._failed(type(error).__name__)
        else:
            self._took(published)

    def _took(self, published: Published) -> None:
        now = self._clock.monotonic()
        before, failed = self._held, self._failures
        self._failures = 0
        self._due = now + published.life * _SHARE * (1 - _JITTER * self._jitter())
        self._held = _Held(keys=published.keys, ends=now + STALE_SECONDS)
        if before is None or before.keys.marks != published.keys.marks:
            self._on_change()
            log.info("keys of the issuer fetched", extra={"issuer": self._issuer, "keys": len(published.keys.keys)})
        elif failed:
            log.info("the issuer answers again", extra={"issuer": self._issuer})
        if not published.keys.keys:
            log.warning("the issuer publishes no key that can be used", extra={"issuer": self._issuer})

    def _failed(self, reason: str) -> None:
        self._due = self._clock.monotonic() + _BACK_OFF[min(self._failures, len(_BACK_OFF) - 1)]
        if not self._failures:
            told = {"issuer": self._issuer, "reason": reason, "keys": "kept" if self.usable() else "none"}
            log.warning("keys of the issuer cannot be fetched", extra=told)
        self._failures += 1

    def _unavailable(self) -> Unavailable:
        return Unavailable(
            "Tokens cannot be checked at the moment.",
            hint="Try again in some seconds.",
            detail=f"the keys of {self._issuer} cannot be fetched",
            retry_after=5,
        )
