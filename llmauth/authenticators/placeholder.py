"""The method `placeholder`: tokens that SDKs got from us where they ask their vendor for one, sent back as Bearer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Final

from llmauth.authenticators.base import Authenticator, Presented, Slot, as_of_now, wrong
from llmauth.authenticators.tokens import FORM, ByPlaceholder, Tokens
from llmauth.context import Identity

# Where an SDK puts the token that it was given. As a proxy password, an API key or in a URL it proves nothing: it lies
# in more caches than a key does.
_TAKEN = frozenset({Slot.AUTHORIZATION, Slot.FORM})
_FIELDS = tuple(field.name for field in fields(Identity) if field.name not in ("method", "expires_at"))


class Placeholder:
    """A token is worth what the identity behind it is worth now: the method that proved that one is asked each time."""

    name: Final = "placeholder"
    slots: Final[frozenset[Slot]] = frozenset()

    def __init__(self, tokens: Tokens, methods: Iterable[Authenticator]) -> None:
        self._tokens = tokens
        self._methods = {method.name: method for method in methods}

    def start(self) -> None:
        """The key was read when the tokens were made."""

    def stop(self) -> None:
        """Nothing runs."""

    def usable(self) -> bool:
        return True

    def recognises(self, presented: Presented) -> bool:
        """By its beginning alone; the session slot is not ours."""
        return presented.value.startswith(FORM) and presented.slot is not Slot.SESSION

    def recall(self, presented: Presented) -> Identity:
        """Always answers: all that a token says stands in it."""
        if presented.slot not in _TAKEN:
            raise wrong("malformed", "a placeholder token is taken as Authorization: Bearer alone")
        origin, ends = self._tokens.read(presented.value)
        return _standing_for(self._origin(origin), ends)

    def authenticate(self, presented: Presented) -> Identity:
        """See Authenticator."""
        return self.recall(presented)

    def current(self, identity: Identity) -> Identity:
        """Ends with the token, and with whom it was made for."""
        if not isinstance(identity, ByPlaceholder) or identity.expires_at is None:
            raise wrong("malformed", "no identity of a placeholder token")
        if identity.expires_at <= self._tokens.now():
            raise wrong("expired", "a placeholder token")
        origin = self._origin(identity.origin)
        return identity if origin is identity.origin else _standing_for(origin, identity.expires_at)

    def _origin(self, identity: Identity) -> Identity:
        method = self._methods.get(identity.method)
        if method is None:
            raise wrong("revoked", f"method {identity.method} is off")
        return as_of_now(identity, method.current(identity))


def _standing_for(origin: Identity, ends: float) -> ByPlaceholder:
    ends = ends if origin.expires_at is None else min(ends, origin.expires_at)
    held = {name: getattr(origin, name) for name in _FIELDS}
    return ByPlaceholder(**held, method=Placeholder.name, expires_at=ends, origin=origin)
