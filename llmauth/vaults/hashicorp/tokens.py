"""The token that all reads share: one login at a time, renewed while it can be, replaced when Vault refuses it."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from llmauth.clock import Clock
from llmauth.secrets import Secret
from llmauth.sources import SourceFailed
from llmauth.vaults.hashicorp.logins import Login, Logins
from llmauth.vaults.hashicorp.terms import SHARE_OF_LIFE, Term

log = logging.getLogger(__name__)

# A login for each read of a path that no policy allows would leave a token in Vault every half minute, and take the
# leases of all other paths with it, which hang on the token before. One in so many seconds follows a changed policy.
_AGAIN_AFTER = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A token in use. `life` is what its login gave it: a renewal that gives much less has met its last end."""

    token: Secret
    life: float | None
    renewable: bool
    term: Term


class Tokens:
    """Asked by several threads; whoever comes during a login waits for it, and shares how it ends."""

    def __init__(self, logins: Logins, clock: Clock) -> None:
        self._logins = logins
        self._clock = clock
        self._lock = threading.Lock()
        self._held: Held | None = None
        self._failure: tuple[float, str] | None = None
        self._replaced_at = -math.inf

    def get(self, ends: float) -> Held:
        """The token, renewed or new where that is due; blocks until `ends` at most. Raises SourceFailed."""
        asked = time.monotonic()
        with self._alone(ends):
            held = self._held
            if held is not None and not held.term.is_due(self._clock):
                return held
            return self._successor(held, asked, ends)

    def instead_of(self, refused: Held, ends: float) -> Held:
        """Another token than this one, which Vault refused: that of a new login, or what took its place by now.

        The same one where it was replaced a moment ago, and Vault knows it: then its policies are what is missing.
        Raises SourceFailed; the old one is then kept, since it may have been refused for its policies alone.
        """
        asked = time.monotonic()
        with self._alone(ends):
            if self._held is not None and self._held is not refused:
                return self._held
            self._raise_failure_since(asked)
            now = self._clock.monotonic()
            if now < self._replaced_at + _AGAIN_AFTER and self._logins.knows(refused.token, ends):
                return refused
            self._held = self._noted(lambda: self._logged_in(ends))
            self._replaced_at = now
            return self._held

    @contextmanager
    def _alone(self, ends: float) -> Iterator[None]:
        if not self._lock.acquire(timeout=max(ends - time.monotonic(), 0)):
            raise SourceFailed("Vault did not answer another login in time")
        try:
            yield
        finally:
            self._lock.release()

    def _successor(self, held: Held | None, asked: float, ends: float) -> Held:
        try:
            self._raise_failure_since(asked)
            self._held = self._noted(lambda: self._renewed(held, ends) or self._logged_in(ends))
        except SourceFailed as failure:
            if held is None or held.term.left(self._clock) <= 0:
                raise
            log.warning("The token of Vault could not be renewed and is used on", extra={"reason": failure.reason})
            return held
        return self._held

    def _noted(self, get: Callable[[], Held]) -> Held:
        try:
            return get()
        except SourceFailed as failure:
            self._failure = (time.monotonic(), failure.reason)
            raise

    def _raise_failure_since(self, asked: float) -> None:
        # It failed while we waited; one more try would say the same, and may cost a use of a secret_id.
        if self._failure is not None and self._failure[0] >= asked:
            raise SourceFailed(self._failure[1])

    def _renewed(self, held: Held | None, ends: float) -> Held | None:
        """The token with a new life, `None` where a login is better: it cannot be renewed, or only for little more."""
        if held is None or not held.renewable or held.term.left(self._clock) <= 0:
            return None
        term = Term.begun(None, self._clock)
        renewed = self._logins.renew(held.token, ends)
        if renewed is None or (renewed.life or 0) < SHARE_OF_LIFE * (held.life or 0):
            return None
        return self._taken(renewed, term, held.life)

    def _logged_in(self, ends: float) -> Held:
        term = Term.begun(None, self._clock)
        login = self._logins.log_in(ends)
        return self._taken(login, term, login.life)

    def _taken(self, login: Login, term: Term, life: float | None) -> Held:
        return Held(token=login.token, life=life, renewable=login.renewable, term=term.lasting(login.life))
