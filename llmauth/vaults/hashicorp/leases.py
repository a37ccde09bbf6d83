"""What Vault lent and can lend for longer: given again while it is young, renewed when that is due, else read anew."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from llmauth.clock import Clock
from llmauth.secrets import Secret
from llmauth.sources import SourceFailed
from llmauth.vaults.hashicorp.answers import Lent
from llmauth.vaults.hashicorp.terms import SHARE_OF_LIFE, Term

# Instances that share a path come for it one after the other, and new keys of AWS are refused for some seconds: who
# asks within this share of a life, and this many seconds, gets the same again. Who asks later and still before it is
# due has no use for it, since a provider refused it.
_YOUNG, _YOUNG_SECONDS = 0.1, 60.0

Renew = Callable[[str, float], float | None]
"""A lease and the seconds wanted, to the seconds given; `None` where it cannot be renewed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """A lease, the token that it dies with, the life that it was first given, and the term that was told."""

    lent: Lent
    token: Secret
    lease: float
    term: Term


class Leases:
    """The renewable ones of all paths; a path is asked for by one thread at a time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held: dict[str, _Held] = {}
        self._locks: dict[str, threading.Lock] = {}

    def lock(self, path: str) -> threading.Lock:
        """The one of this path."""
        return self._locks.setdefault(path, threading.Lock())

    def again(self, path: str, token: Secret, cap: float, renew: Renew) -> Lent | None:
        """What is held of a path, with the life that it still has; `None` where it has to be read anew.

        `cap` are the seconds that the token lives: nothing that was lent to it lives longer.
        """
        held = self._held.get(path)
        if held is None or held.token != token or held.term.left(self._clock) <= 0:
            return None
        if held.term.is_due(self._clock):
            return self._renewed(path, held, cap, renew)
        young = min(_YOUNG * held.term.life, _YOUNG_SECONDS)
        return replace(held.lent, life=held.term.left(self._clock)) if held.term.age(self._clock) < young else None

    def keep(self, path: str, token: Secret, lent: Lent, lease: float, term: Term) -> None:
        """Remember one that was read just now, if it can be renewed; forget the one before it."""
        self._held.pop(path, None)
        if lent.renewable:
            self._held[path] = _Held(lent=lent, token=token, lease=lease, term=term.lasting(lent.life))

    def forget(self, path: str) -> None:
        """Do not give again what is held of a path. Never blocks: who reads it just now keeps what comes."""
        self._held.pop(path, None)

    def _renewed(self, path: str, held: _Held, cap: float, renew: Renew) -> Lent | None:
        term = Term.begun(None, self._clock)
        lease_id = held.lent.lease_id
        if lease_id is None:
            raise SourceFailed("a lease of Vault has no id")
        life = renew(lease_id, held.lease)
        if life is None or life < SHARE_OF_LIFE * held.lease:
            # Near its last end a renewal gives less and less.
            return None
        lent = replace(held.lent, life=min(life, cap))
        self._held[path] = replace(held, lent=lent, term=term.lasting(lent.life))
        return lent
