"""Whether a service that proves callers can be asked at all: one that is down is asked again beside the requests."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from llmauth.clock import Clock
from llmauth.errors import Unauthenticated, Unavailable

log = logging.getLogger(__name__)

PROBE_SECONDS = 5.0
"""How often a service that is down is asked whether it is there again."""
_UNPROVEN_SECONDS = 30.0
# A failure that took longer is one of the network, and another attempt would take as long.
_QUICK = 1.0


class NotReached(Exception):
    """The service could not be asked, or what it said makes no sense; `reason` is a sentence without secrets."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Reach:
    """How one service stands. While it is down its callers are told so at once, and only `probe` asks it.

    Requests must not find out one after the other: each would keep one of the few threads that judge callers for as
    long as the service is silent. A place that a caller chose (`chosen`) and that never answered has no probe, and is
    left alone for a while.
    """

    def __init__(self, name: str, clock: Clock, probe: Callable[[], None], *, chosen: bool = False) -> None:
        self.name = name
        self._clock = clock
        self._probe = probe
        self._chosen = chosen
        self._answered = False
        self._reason: str | None = None
        self._asked_at = 0.0
        self._lock = threading.Lock()

    @property
    def is_down(self) -> bool:
        """Whether it failed when it was last asked."""
        return self._reason is not None

    @property
    def matters(self) -> bool:
        """Whether it is one that this server needs: of a place that a caller chose, only an answer tells."""
        return self._answered or not self._chosen

    def require(self) -> None:
        """Unavailable while it is down. Memory only."""
        reason = self._reason
        if reason is None or (not self.matters and self._age() >= _UNPROVEN_SECONDS):
            return
        raise unavailable(self.name, reason)

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Around a call: NotReached becomes Unavailable, and is kept in mind."""
        begun = self._clock.monotonic()
        try:
            yield
        except NotReached as failure:
            # It may have been what this caller presented: nobody shall be able to take a service away from the others.
            if self._clock.monotonic() - begun < _QUICK:
                self._ask(failure.reason)
            else:
                self._note(failure.reason)
            raise unavailable(self.name, failure.reason) from None
        except Unauthenticated:
            self._note(None)  # it was asked, and answered
            raise
        self._note(None)

    def look(self) -> None:
        """Ask whether it is there again, where it is down and nobody asked for a while; may block."""
        if self._reason is not None and self.matters and self._age() >= PROBE_SECONDS:
            self._ask(self._reason)

    def _ask(self, reason: str) -> None:
        if not self.matters:
            self._note(reason)
            return
        try:
            self._probe()
        except NotReached as failure:
            self._note(failure.reason)
        else:
            self._note(None)

    def _age(self) -> float:
        return self._clock.monotonic() - self._asked_at

    def _note(self, reason: str | None) -> None:
        with self._lock:
            before, self._reason = self._reason, reason
            self._asked_at = self._clock.monotonic()
            self._answered |= reason is None
        if reason != before:
            facts = {"service": self.name, "reason": reason or ""}
            if reason is None:
                log.info("callers can be proved again", extra=facts)
            else:
                log.error("callers cannot be proved: a service that has to be asked does not answer", extra=facts)


def unavailable(name: str, reason: str) -> Unavailable:
    """Nobody can be judged now; the client is told no more than that."""
    return Unavailable(
        "Credentials cannot be checked at the moment.",
        hint="Try again in a few seconds.",
        detail=f"{name}: {reason}",
        retry_after=5,
    )
