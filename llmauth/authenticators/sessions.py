"""The method `session`: what a second factor or a login was exchanged for, good for some hours wherever a key is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from secrets import token_hex

from llmauth.authenticators.base import Authenticator, AuthSurroundings, Presented, Slot, wrong
from llmauth.authenticators.factors import LASTING
from llmauth.authenticators.keys import ApiKeyOptions, Held, IssuedKeys
from llmauth.context import Identity
from llmauth.errors import Forbidden, Unauthenticated
from llmauth.rules import NO_RULES, Rules
from llmauth.secrets import Secret
from llmauth.storage.key_text import is_session
from llmauth.storage.records import KeyNotFound, KeyRecord

# Whoever shows one of these was let in by something else, whose end a new session would outlive. And a signature is for
# one request: a session that it opened could be carried off.
_NOT_FROM = frozenset({"session", "placeholder", "sigv4", "none"})
# What these let in for, a password or a key of the environment, they can tell at any time to be there still. A token or
# a certificate is there for minutes, or in other hands: a session is what spares its owner to show it again.
_TOLD_AGAIN = frozenset({"api_key", "basic"})
LENT = "run"
"""What the owner of the state folder lends to a program of his own, which no method of a client's proves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A new session: its public id, its text, told this once, and how many seconds it lives."""

    id: str
    token: Secret
    expires_in: int


class Sessions(IssuedKeys):
    """Judges sessions as keys are judged, in memory and by the store, and opens and ends them.

    `methods` are those that are on: what one that is off let in is out. With `require_factor` so is what one of a
    lasting secret let in without a second one, before it was required.
    """

    name = "session"

    def __init__(
        self,
        surroundings: AuthSurroundings,
        duration: float,
        methods: Iterable[Authenticator],
        *,
        require_factor: bool = False,
    ) -> None:
        super().__init__(ApiKeyOptions(type="api_key"), surroundings)
        self._store = surroundings.store
        self._duration = duration
        self._methods = {method.name: method for method in methods}
        self._owing = LASTING | {LENT} if require_factor else frozenset[str]()

    def recognises(self, presented: Presented) -> bool:
        """By its form; never in a query, where logs and histories would keep it."""
        return is_session(presented.value) and presented.slot is not Slot.QUERY_KEY

    def current(self, identity: Identity) -> Identity:
        """Ends with the session, and with the key that it came from."""
        self._require_fresh()
        return self._use_of(identity.session_id)

    def identity_of(self, record: KeyRecord) -> Identity:
        """Who opened it, by the key that it was opened with."""
        owes = record.method in self._owing and not record.second_factor
        return Identity(
            user=record.user,
            method=self.name,
            key_id=record.parent,
            key_name=record.name,
            groups=record.groups,
            expires_at=record.expires,
            session_id=record.id,
            second_factor=record.second_factor,
            factor_due="enrolment" if owes else None,
            rules=record.rules,
        )

    def open(self, identity: Identity) -> Opened:
        """A session for who was just proved; blocks until it is on the disk.

        Raises Forbidden for who may not have one, Unauthenticated when the key has ended meanwhile.
        """
        if identity.method in _NOT_FROM:
            raise Forbidden(
                f"No session is opened by the method '{identity.method}'.", hint="Log in with a key or a token."
            )
        now, told_again = self._clock.wall(), identity.method in _TOLD_AGAIN
        try:
            record, token = self._store.open_session(
                user=identity.user,
                groups=identity.groups,
                method=identity.method,
                key_id=identity.key_id if told_again else None,
                key_name=identity.key_name if told_again else None,
                second_factor=identity.second_factor,
                ends_at=now + self._duration,
                rules=identity.rules,
                issued=identity.method == IssuedKeys.name,
            )
        except KeyNotFound as error:
            raise Unauthenticated("The credential is not valid.", reason="revoked", detail=str(error)) from None
        assert record.expires is not None
        return Opened(id=record.id, token=token, expires_in=round(record.expires - now))

    def lend(self, user: str, seconds: float, rules: Rules = NO_RULES) -> Opened:
        """A session for a program that the owner of the state folder starts; blocks until it is on the disk.

        Forbidden where all must show a second factor: nobody has shown one. ValueError for what is no user's name.
        """
        if self._owing:
            raise Forbidden(
                "Nothing is lent where a second factor is required.", hint="Log in with key and code: POST /auth/login."
            )
        # Each has an origin of its own, so that of many that run at once none ends another.
        record, token = self._store.open_session(
            user=user,
            groups=(),
            method=LENT,
            key_id=f"{LENT}-{token_hex(8)}",
            key_name=LENT,
            second_factor=False,
            ends_at=self._clock.wall() + seconds,
            rules=rules,
            issued=False,
        )
        return Opened(id=record.id, token=token, expires_in=round(seconds))

    def take_back(self, session_id: str) -> bool:
        """End what was lent, for good; False where it had ended. Blocks until it is on the disk."""
        ended = self._store.close_session(session_id)
        self._catch_up()
        return ended

    def close(self, identity: Identity) -> None:
        """End the session that somebody calls with, for good; blocks until it is on the disk. Forbidden without one."""
        if identity.session_id is None:
            raise Forbidden("Only a session can be ended like this.", hint="`llmauth keys revoke` ends a key.")
        self._store.close_session(identity.session_id)
        self._catch_up()  # who is told that it has ended may try at once

    def _use(self, held: Held) -> Identity:
        self._require_origin(held.record)
        return super()._use(held)

    def _require_origin(self, record: KeyRecord) -> None:
        if record.method == LENT:
            return
        method = self._methods.get(record.method or "")
        if method is None:
            raise wrong("revoked", f"session {record.id}: method {record.method} is off")
        # The sessions of an issued key are ended by the store, together with it.
        if record.method in _TOLD_AGAIN and not (record.method == IssuedKeys.name and record.parent is not None):
            method.current(Identity(user=record.user, method=method.name, key_id=record.parent, key_name=record.name))

    def _is(self, record: KeyRecord) -> bool:
        return record.kind == "session"
