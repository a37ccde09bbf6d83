"""What tokens proved, and which were refused a moment ago: by a digest of the whole value, and bounded."""

from __future__ import annotations

import hmac
import os
import threading
from dataclasses import dataclass

from llmauth.authenticators.base import Reason
from llmauth.clock import Clock
from llmauth.context import Identity

PROVED_LIMIT = 16_384
REFUSED_LIMIT = 4_096
REFUSED_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Who a value proved. `mark` names the key by which it was proved, `ends` is monotonic."""

    identity: Identity
    mark: str
    ends: float


class Proofs:
    """Two memories of one method. A value is known by its digest under a secret of this process, and kept nowhere."""

    def __init__(self, clock: Clock, limit: int = PROVED_LIMIT) -> None:
        self._clock = clock
        self._limit = limit
        self._secret = os.urandom(32)
        self._changing = threading.Lock()
        # Those used longest ago come first in both.
        self._proved: dict[bytes, Proof] = {}
        self._refused: dict[bytes, tuple[float, Reason]] = {}

    def digest(self, value: str) -> bytes:
        """What a value is known by here."""
        return hmac.digest(self._secret, value.encode("utf-8", "surrogateescape"), "sha256")

    def proved(self, digest: bytes) -> Proof | None:
        """What a value proved, whether that has ended or not."""
        return self._proved.get(digest)

    def keep(self, digest: bytes, identity: Identity, mark: str) -> None:
        """Remember what a value proved, until the identity ends.

        The end is one of the monotonic clock too, so that a wall clock that is set back lengthens no proof.
        """
        ends = self._clock.monotonic() + max(0.0, (identity.expires_at or 0.0) - self._clock.wall())
        with self._changing:
            self._refused.pop(digest, None)
            self._proved.pop(digest, None)
            _make_room(self._proved, self._limit)
            self._proved[digest] = Proof(identity=identity, mark=mark, ends=ends)

    def ended(self, proof: Proof) -> bool:
        """Whether a proof has ended, by either clock."""
        expires_at = proof.identity.expires_at
        return (expires_at is not None and expires_at <= self._clock.wall()) or proof.ends <= self._clock.monotonic()

    def forget(self, digest: bytes) -> None:
        """A proof that is good no longer."""
        with self._changing:
            self._proved.pop(digest, None)

    def refused(self, digest: bytes) -> Reason | None:
        """Why a value was refused, for some seconds."""
        refused = self._refused.get(digest)
        return refused[1] if refused is not None and refused[0] > self._clock.monotonic() else None

    def refuse(self, digest: bytes, reason: Reason) -> None:
        """Remember for some seconds that a value proved nothing."""
        with self._changing:
            self._refused.pop(digest, None)
            _make_room(self._refused, REFUSED_LIMIT)
            self._refused[digest] = (self._clock.monotonic() + REFUSED_SECONDS, reason)

    def reconsider(self) -> None:
        """Forget the refusals: what was wrong by other keys may be right."""
        with self._changing:
            self._refused.clear()


def _make_room[T](held: dict[bytes, T], limit: int) -> None:
    while len(held) >= limit:
        del held[next(iter(held))]
