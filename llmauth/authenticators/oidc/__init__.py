"""The method `oidc`: tokens of one OpenID issuer, judged by its keys in memory, and remembered until they end."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Final, cast

from llmauth.authenticators.base import AuthSurroundings, Presented, Reason, Slot, wrong
from llmauth.authenticators.compact import Compact, issuer_of, read
from llmauth.authenticators.oidc.claims import check_header, identity_of
from llmauth.authenticators.oidc.jwks import JwksLease
from llmauth.authenticators.oidc.keyset import VerifyingKey
from llmauth.authenticators.oidc.options import OidcOptions
from llmauth.authenticators.oidc.provider import Provider
from llmauth.authenticators.proofs import Proofs
from llmauth.context import Identity
from llmauth.errors import Unauthenticated

__all__ = ["ByToken", "OidcOptions", "OpenId"]

# Not in a URL, which proxies and browsers keep; and the session slot is not ours.
_TAKEN = frozenset({Slot.AUTHORIZATION, Slot.PROXY, Slot.API_KEY, Slot.AZURE_KEY, Slot.GOOGLE_KEY, Slot.SUBPROTOCOL})
_TOLD = re.compile(r"[\w.:/+=@-]{1,100}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ByToken(Identity):
    """Whom a token proved. `require` raises once its issuer has taken back the key that signed it, and at its end by
    the clock that nobody sets.

    Whoever stole such a key gives their tokens no near end, and a tunnel or a connection may be open for as long.
    """

    require: Callable[[], None] = field(repr=False, compare=False)


class OpenId:
    """One issuer. Several entries make several of these: each takes the tokens of its issuer alone.

    They share their name, and so `current`, which asks the identity and the clock, and nothing of this issuer.
    """

    name: Final = "oidc"
    slots: Final[frozenset[Slot]] = frozenset()

    def __init__(self, options: OidcOptions, surroundings: AuthSurroundings) -> None:
        self._options = options
        self._clock = surroundings.clock
        self._proofs = Proofs(surroundings.clock)
        self._lease = JwksLease(
            Provider(options, surroundings.outbound).fetch,
            surroundings.clock,
            issuer=options.issuer,
            on_change=self._proofs.reconsider,
        )
        self._off = False

    def start(self) -> None:
        """Begin to fetch the keys; until the issuer has answered, its tokens are 503."""
        self._lease.start()

    def stop(self) -> None:
        """Fetch no more; whom this issuer proved is somebody no longer, though entries of other issuers go on."""
        self._off = True
        self._lease.stop()

    def usable(self) -> bool:
        """Whether there are keys of the issuer to judge by."""
        return self._lease.usable()

    def recognises(self, presented: Presented) -> bool:
        """A token that names this very issuer; one of another issuer is an SDK's own, and a placeholder here."""
        value = presented.value
        # The first letter before all else: hardly a placeholder has it, and this is asked for every request.
        if not value.startswith("e") or presented.slot not in _TAKEN:
            return False
        return self._proofs.proved(self._proofs.digest(value)) is not None or issuer_of(value) == self._options.issuer

    def recall(self, presented: Presented) -> Identity | None:
        """Microseconds; see Authenticator."""
        keys = self._lease.held()
        digest = self._proofs.digest(presented.value)
        proof = self._proofs.proved(digest)
        if proof is not None:
            if self._proofs.ended(proof):
                raise wrong("expired", "a token")
            if proof.mark in keys.marks:
                return proof.identity
            self._proofs.forget(digest)  # the issuer has taken its key back
        refused = self._proofs.refused(digest)
        if refused is not None:
            raise wrong(refused)
        return None

    def authenticate(self, presented: Presented) -> Identity:
        """A fraction of a millisecond, and a fetch for a key unheard of; see Authenticator."""
        digest = self._proofs.digest(presented.value)
        try:
            token = _read(presented.value)
            alg, kid = check_header(token.header, self._options.algorithms)
            key = self._key(kid, alg)
            if not key.verifies(alg, token.signed, token.signature):
                raise wrong("bad_key", f"the signature of a token, key {_told(kid)}")
            identity = self._standing_by(key, identity_of(token.payload, self._options, self._clock.wall()))
        except Unauthenticated as error:
            self._proofs.refuse(digest, cast(Reason, error.reason))
            raise
        self._proofs.keep(digest, identity, key.mark)
        return identity

    def current(self, identity: Identity) -> Identity:
        """Ends with its token, and with the key of its issuer, whichever that is."""
        if identity.expires_at is None or identity.expires_at <= self._clock.wall():
            raise wrong("expired", "a token")
        if isinstance(identity, ByToken):
            identity.require()
        return identity

    def _standing_by(self, key: VerifyingKey, identity: Identity) -> ByToken:
        lease, clock, mark = self._lease, self._clock, key.mark
        ends = clock.monotonic() + (identity.expires_at or 0.0) - clock.wall()

        def require() -> None:
            if self._off:
                raise wrong("revoked", "the issuer of a token is taken no longer")
            if clock.monotonic() >= ends:
                raise wrong("expired", "a token")
            if mark not in lease.held().marks:
                raise wrong("revoked", "the issuer has taken back the key of a token")

        held = {each.name: getattr(identity, each.name) for each in fields(Identity)}
        return ByToken(**held, require=require)

    def _key(self, kid: str | None, alg: str) -> VerifyingKey:
        key = self._lease.held().choose(kid, alg) or self._lease.sought().choose(kid, alg)
        if key is None:
            raise wrong("unknown_key", f"key {_told(kid)} of {self._options.issuer} for {alg}")
        return key


def _read(text: str) -> Compact:
    try:
        return read(text)
    except ValueError as error:
        raise wrong("malformed", f"a token: {error}") from None


def _told(kid: str | None) -> str:
    """The id of a key as it may stand in a log: callers choose it."""
    return "without an id" if kid is None else kid if _TOLD.fullmatch(kid) else "of an odd name"
