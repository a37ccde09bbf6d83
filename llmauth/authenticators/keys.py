"""The method `api_key`: issued keys, judged in memory, and proved by bcrypt once in the life of this process."""

from __future__ import annotations

import hmac
import logging
import os
import threading
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from llmauth.authenticators.base import AuthSurroundings, Presented, Reason, Slot, wrong
from llmauth.context import Identity
from llmauth.errors import Unavailable
from llmauth.secrets import Secret
from llmauth.storage.feed import KeyFeed
from llmauth.storage.home import StateError
from llmauth.storage.key_text import ALGORITHM, LONGEST, PREFIX, hash_key, is_session, key_id_of, matches
from llmauth.storage.keys import KeyRecord, Snapshot

log = logging.getLogger(__name__)

REFUSED_SECONDS = 5.0
REFUSED_LIMIT = 4096


class ApiKeyOptions(BaseModel):
    """Issued keys; there is nothing to choose."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["api_key"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A record, and whom it lets in as long as it lives."""

    record: KeyRecord
    identity: Identity


class IssuedKeys:
    """All keys of a store in memory, with the proofs that were already made.

    `recall` and `current` take no lock: they read dictionaries that are replaced whole, or changed by single steps.
    """

    name: str = "api_key"
    slots: Final[frozenset[Slot]] = frozenset()

    def __init__(self, options: ApiKeyOptions, surroundings: AuthSurroundings) -> None:
        self._clock = surroundings.clock
        self._feed = KeyFeed(surroundings.store, self.load, surroundings.clock)
        self._keys: dict[str, Held] = {}
        # Digest of a full key text, under a secret of this process -> id and stored hash of the key that it proved.
        self._proved: dict[bytes, tuple[str, str]] = {}
        # Digest -> when it may be asked again, and why it was refused. The oldest come first.
        self._refused: dict[bytes, tuple[float, Reason]] = {}
        self._refusing = threading.Lock()
        self._secret = os.urandom(32)
        # An unknown id is compared with this hash, so that it takes as long as a known one.
        self._nobody = hash_key(Secret(os.urandom(32).hex()))

    def start(self) -> None:
        """Load the keys and follow their changes; StateError when the store cannot be read."""
        self._feed.start()
        if not self._keys and self.name == IssuedKeys.name:
            log.warning("no keys yet, so every request is refused; make the first with `llmauth keys create NAME`")

    def stop(self) -> None:
        """Stop following; from then on nothing is accepted."""
        self._feed.stop()

    def usable(self) -> bool:
        """Whether the keys in memory are known to be those of the store."""
        return not self._feed.is_stale()

    def load(self, snapshot: Snapshot) -> None:
        """Judge by these keys from now on, beside those known already when they are only the changes."""
        changed = {
            one.id: Held(record=one, identity=self.identity_of(one)) for one in snapshot.records if self._is(one)
        }
        if snapshot.since:
            self._keys.update(changed)
        else:
            self._keys = changed
            for digest, (key_id, _) in self._proved.copy().items():
                if key_id not in changed:
                    self._proved.pop(digest, None)
        with self._refusing:  # what was wrong under the old keys may be right under these
            self._refused.clear()

    def recognises(self, presented: Presented) -> bool:
        """By its beginning alone, so that a mistyped key is wrong, and no placeholder; the session slot is not ours."""
        if presented.slot is Slot.SESSION or is_session(presented.value):
            return False
        return presented.value.startswith(PREFIX)

    def recall(self, presented: Presented) -> Identity | None:
        """Microseconds; see Authenticator."""
        self._require_fresh()
        value = presented.value
        if len(value) > LONGEST:
            raise wrong("malformed")
        digest = self._digest(value)
        proved = self._proved.get(digest)
        if proved is not None:
            held = self._keys.get(proved[0])
            if held is not None and held.record.hash == proved[1]:
                return self._use(held)
        refused = self._refused.get(digest)
        if refused is not None and refused[0] > self._clock.monotonic():
            raise wrong(refused[1])
        if key_id_of(value) is None:
            raise wrong("malformed")
        return None

    def authenticate(self, presented: Presented) -> Identity:
        """Some milliseconds, most of them without the GIL; see Authenticator."""
        value = presented.value
        key_id = key_id_of(value)
        if key_id is None:
            raise wrong("malformed")
        self._catch_up()
        held = self._keys.get(key_id)
        hashed, algorithm = (held.record.hash, held.record.algorithm) if held else (self._nobody, ALGORITHM)
        matched = matches(value, algorithm, hashed)
        digest = self._digest(value)
        if held is None or not matched:
            reason: Reason = "bad_key" if held else "unknown_key"
            self._refuse(digest, reason)
            raise wrong(reason, f"key {key_id}")
        self._proved[digest] = (key_id, hashed)
        return self._use(held)

    def current(self, identity: Identity) -> Identity:
        """See Authenticator; groups and user are those of now."""
        self._require_fresh()
        return self._use_of(identity.key_id)

    def identity_of(self, record: KeyRecord) -> Identity:
        """Who a record lets in, as long as it lives."""
        return Identity(
            user=record.user,
            method=self.name,
            key_id=record.id,
            key_name=record.name,
            groups=record.groups,
            expires_at=record.expires,
            factor_due="code" if record.enrolled is not None else "enrolment" if record.require_totp else None,
            rules=record.rules,
        )

    def _is(self, record: KeyRecord) -> bool:
        """Whether this method judges by such records."""
        return record.kind == "key"

    def _use_of(self, record_id: str | None) -> Identity:
        held = self._keys.get(record_id or "")
        if held is None:
            raise wrong("revoked", f"key {record_id}")
        return self._use(held)

    def _use(self, held: Held) -> Identity:
        record = held.record
        ended = self._ended(record)
        if ended is not None:
            raise wrong(ended, f"key {record.id}")
        self._feed.used[record.id] = self._clock.wall()
        return held.identity

    def _ended(self, record: KeyRecord) -> Reason | None:
        if record.revoked is not None:
            return "revoked"
        if record.expires is not None and record.expires <= self._clock.wall():
            return "expired"
        return None

    def _refuse(self, digest: bytes, reason: Reason) -> None:
        with self._refusing:
            self._refused.pop(digest, None)
            while len(self._refused) >= REFUSED_LIMIT:
                del self._refused[next(iter(self._refused))]
            self._refused[digest] = (self._clock.monotonic() + REFUSED_SECONDS, reason)

    def _catch_up(self) -> None:
        """Ask the store once more before a key is judged for the first time: it may have been made a moment ago.

        Known ids are treated as unknown ones, so that the time taken does not tell which exist.
        """
        try:
            self._feed.catch_up()
        except StateError:
            self._require_fresh()

    def _require_fresh(self) -> None:
        if self._feed.is_stale():
            raise Unavailable(
                "Keys cannot be checked at the moment.",
                hint="Try again in a second.",
                detail="the key store has not been readable for more than a second",
                retry_after=1,
            )

    def _digest(self, value: str) -> bytes:
        return hmac.digest(self._secret, value.encode("utf-8", "surrogateescape"), "sha256")
