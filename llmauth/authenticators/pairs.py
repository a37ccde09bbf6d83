"""The access-key pairs of a store in memory, with their secrets opened, true to the store as issued keys are."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final, Protocol

from llmauth.authenticators.base import wrong
from llmauth.clock import Clock
from llmauth.context import Identity
from llmauth.errors import Unavailable
from llmauth.secrets import Secret
from llmauth.storage.feed import KeyFeed
from llmauth.storage.home import StateError
from llmauth.storage.records import KeyRecord, Snapshot
from llmauth.storage.registry import KeyRegistry

log = logging.getLogger(__name__)

METHOD: Final = "sigv4"


class Pairs(Protocol):
    """Whose an access key id is, and by which secret its signatures are made."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def usable(self) -> bool: ...

    def secret_of(self, access_key_id: str) -> tuple[Secret, Identity] | None:
        """`None` for an id that nobody has. Raises Unauthenticated for one that has ended, Unavailable when unknown."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    record: KeyRecord
    identity: Identity
    secret: Secret | None


class StoredPairs:
    """Those of a KeyRegistry. `secret_of` reads a dictionary that is replaced whole, or changed by single steps."""

    def __init__(self, store: KeyRegistry, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._feed = KeyFeed(store, self.load, clock)
        self._held: dict[str, _Held] = {}

    def start(self) -> None:
        """Load the pairs and follow their changes; StateError when the store cannot be read."""
        self._feed.start()

    def stop(self) -> None:
        """Follow no longer; soon nothing is accepted."""
        self._feed.stop()

    def usable(self) -> bool:
        """Whether the pairs in memory are known to be those of the store."""
        return not self._feed.is_stale()

    def load(self, snapshot: Snapshot) -> None:
        """Judge by these pairs from now on, beside those known already when they are only the changes."""
        changed = {record.id: self._opened(record) for record in snapshot.records if record.kind == "aws"}
        if snapshot.since:
            self._held.update(changed)
        else:
            self._held = changed

    def secret_of(self, access_key_id: str) -> tuple[Secret, Identity] | None:
        """See Pairs."""
        if self._feed.is_stale():
            raise _unavailable("the key store has not been readable for more than a second")
        held = self._held.get(access_key_id)
        if held is None:
            return None
        record = held.record
        if record.ended(self._clock.wall()):
            raise wrong("revoked" if record.revoked is not None else "expired", f"pair {record.id}")
        if held.secret is None:
            raise _unavailable(f"the secret of pair {record.id} cannot be opened")
        self._feed.used[record.id] = self._clock.wall()
        return held.secret, held.identity

    def _opened(self, record: KeyRecord) -> _Held:
        secret = None
        if record.revoked is None:
            try:
                secret = self._store.pair_secret(record)
            except StateError as error:
                log.error(
                    "the secret of an access-key pair cannot be opened", extra={"pair": record.id, "why": str(error)}
                )
        return _Held(record=record, identity=_identity(record), secret=secret)


def _identity(record: KeyRecord) -> Identity:
    due = "code" if record.enrolled is not None else "enrolment" if record.require_totp else None
    return Identity(
        user=record.user,
        method=METHOD,
        key_id=record.id,
        key_name=record.name,
        groups=record.groups,
        expires_at=record.expires,
        factor_due=due,  # type: ignore[arg-type]
        rules=record.rules,
    )


def _unavailable(detail: str) -> Unavailable:
    return Unavailable(
        "Keys cannot be checked at the moment.", hint="Try again in a second.", detail=detail, retry_after=1
    )
