"""The method `sigv4`: requests that an AWS SDK signed with an access-key pair of ours."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from llmauth.authenticators.base import AuthSurroundings, Presented, Reason, Slot, wrong
from llmauth.authenticators.pairs import METHOD, Pairs, StoredPairs
from llmauth.authenticators.presented import parameter
from llmauth.context import Identity
from llmauth.errors import Unauthenticated
from llmauth.http import Door, Request
from llmauth.secrets import Secret
from llmauth.signing.inbound import Claimed, Mismatch, check, check_head, claimed

PREFIX: Final = "LLMA"
"""What every access key id of ours begins with."""

_HEADER = re.compile(rf"AWS4-[^ ]* .*Credential={PREFIX}", re.IGNORECASE)


class Sigv4Options(BaseModel):
    """Signatures of access-key pairs; there is nothing to choose."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["sigv4"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """A signature whose head is in order: `identity` is who made it if it holds, and nobody before `keep` says so.

    `at` is when the head came: a long body may take longer than a signature lives.
    """

    identity: Identity
    request: Request = field(repr=False)
    claim: Claimed = field(repr=False)
    pairs: Pairs = field(repr=False)
    at: float

    def keep(self, body: bytes) -> Identity:
        """The identity, proved by the whole body; Unauthenticated when this is not what was signed, or the pair ended.

        A megabyte of body takes about half a millisecond. Ask it for each request anew, whatever was proved before.
        """
        secret, identity = _pair(self.pairs, self.claim)
        try:
            check(self.claim, self.request, secret, hashlib.sha256(body).hexdigest(), self.at)
        except Mismatch as error:
            raise _refused(error, self.claim.access_key_id) from None
        return identity

    def kept(self, body: bytes) -> Unauthenticated | None:
        """Why the promise is not kept, if it is not."""
        try:
            self.keep(body)
        except Unauthenticated as error:
            return error
        return None


class Signatures:
    """Judges a signature together with its request: at the head all but the signature, and that when the body is there.

    A value alone proves nothing, since the same header could come with another body: `recall` and `authenticate`
    refuse, and whoever serves requests calls `promise` and `keep`.
    """

    name: Final = METHOD
    slots: Final[frozenset[Slot]] = frozenset()

    def __init__(self, options: Sigv4Options, surroundings: AuthSurroundings, pairs: Pairs | None = None) -> None:
        self._clock = surroundings.clock
        self._pairs = StoredPairs(surroundings.store, surroundings.clock) if pairs is None else pairs

    def start(self) -> None:
        """Load the pairs; StateError when the store cannot be read."""
        self._pairs.start()

    def stop(self) -> None:
        """Follow the store no longer."""
        self._pairs.stop()

    def usable(self) -> bool:
        return self._pairs.usable()

    def recognises(self, presented: Presented) -> bool:
        """By the beginning of the access key id, so that a mistyped one is wrong, and no placeholder."""
        if presented.slot is Slot.AUTHORIZATION:
            return _HEADER.match(presented.value) is not None
        return presented.slot is Slot.PRESIGNED and _is_presigned(presented.value)

    def promise(self, request: Request) -> Promise | None:
        """What the head of a request promises, `None` where it is not signed with a pair of ours; microseconds.

        `request` must be the one that came, before anything of it was changed. Raises Unauthenticated for what is wrong
        whatever its body will be, Unavailable when pairs cannot be judged now.
        """
        if request.door is Door.CONNECT or not _is_ours(request):
            return None
        at, key_id = self._clock.wall(), ""
        try:
            claim = claimed(request)
            if claim is None:  # the credential of a presigned URL, and no signature
                return None
            key_id = claim.access_key_id
            _, identity = _pair(self._pairs, claim)
            check_head(claim, request, at)
        except Mismatch as error:
            raise _refused(error, key_id) from None
        return Promise(identity=identity, request=request, claim=claim, pairs=self._pairs, at=at)

    def recall(self, presented: Presented) -> Identity | None:
        """Refuses: see the class."""
        raise wrong("malformed", "a signature is judged together with its request")

    def authenticate(self, presented: Presented) -> Identity:
        """Refuses: see the class."""
        raise wrong("malformed", "a signature is judged together with its request")

    def current(self, identity: Identity) -> Identity:
        """Ends with its pair; groups and rules are those of now."""
        found = self._pairs.secret_of(identity.key_id or "")
        if found is None:
            raise wrong("revoked", f"pair {identity.key_id}")
        return found[1]


def _pair(pairs: Pairs, claim: Claimed) -> tuple[Secret, Identity]:
    found = pairs.secret_of(claim.access_key_id)
    if found is None:
        raise wrong("unknown_key", "no such access-key pair")
    return found


def _is_ours(request: Request) -> bool:
    values = request.headers.all("authorization")
    return any(_HEADER.match(value.strip(" \t")) for value in values) or _is_presigned(request.url.query)


def _is_presigned(query: str) -> bool:
    if PREFIX not in query:  # nearly always: no character of an id needs an escape, and no honest client writes one
        return False
    pairs = (parameter(each) for each in query.split("&"))
    return any(name.lower() == "x-amz-credential" and value.startswith(PREFIX) for name, value in pairs)


def _refused(error: Mismatch, access_key_id: str) -> Unauthenticated:
    reason: Reason = _REASONS.get(error.reason, "malformed")
    return wrong(reason, f"pair {access_key_id[:20]}: {error.reason}")


_REASONS: dict[str, Reason] = {"expired": "expired", "signature": "bad_key", "payload": "bad_key"}
