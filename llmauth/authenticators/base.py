"""What every way of proving who one is must offer, and what it is handed: one value from one slot of a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Literal, Protocol

from llmauth.clock import Clock
from llmauth.context import Identity
from llmauth.errors import Unauthenticated
from llmauth.outbound import Outbound
from llmauth.storage.registry import KeyRegistry

Reason = Literal[
    "missing",  # nothing was presented where something must be
    "unrecognised",  # presented, and of no form that we know: most often a provider's own key or a placeholder
    "malformed",  # of our form at first sight, but too short, too long, or with a wrong checksum
    "unknown_key",
    "bad_key",
    "expired",
    "revoked",
    "not_allowed",  # it proves somebody whom the method does not let in
    "factor_missing",
    "factor_wrong",
    "factor_locked",
]


class Slot(StrEnum):
    """A place of a request in which clients put credentials."""

    AUTHORIZATION = "authorization"
    API_KEY = "x-api-key"
    AZURE_KEY = "api-key"
    GOOGLE_KEY = "x-goog-api-key"
    QUERY_KEY = "?key"
    PRESIGNED = "?x-amz-signature"
    PROXY = "proxy-authorization"
    SESSION = "x-session-token"
    OIDC_DATA = "x-amzn-oidc-data"
    FORWARDED_CERTIFICATE = "x-forwarded-client-cert"
    CERTIFICATE = "client certificate"  # shown in the TLS handshake, and no part of the request
    FORM = "form"  # the body of an exchange at a vendor's token host, which we answer
    SUBPROTOCOL = "sec-websocket-protocol"


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """What stood in a slot: of `Bearer` the token, of `Basic` the password, else the whole value.

    `user` is the name beside a password of Basic, a label for people to all methods but one; `source` is the address of
    the peer, by which some slots are believed.
    """

    slot: Slot
    value: str = field(repr=False)
    user: str = field(default="", repr=False)
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthSurroundings:
    """What a method may ask: the store of keys, the clock, services outside, the environment, the state folder."""

    store: KeyRegistry
    clock: Clock
    outbound: Outbound
    environ: Mapping[str, str]
    home: Path


class Authenticator(Protocol):
    """One method of authentication. Values that it does not recognise are never given to its other functions.

    `recall` and `current` run on the event loop for every request: memory only. `authenticate` may block.
    """

    @property
    def name(self) -> str:
        """The method's name in the configuration, in `Identity.method`, logs and metrics."""
        ...

    @property
    def slots(self) -> frozenset[Slot]:
        """Slots that only this method knows: where no method names them, they are fields like any other."""
        ...

    def start(self) -> None:
        """Load what is needed, or refuse to start by a StateError."""
        ...

    def stop(self) -> None:
        """End threads and connections."""
        ...

    def usable(self) -> bool:
        """Whether values can be judged now; readiness asks this."""
        ...

    def recognises(self, presented: Presented) -> bool:
        """Whether the value has this method's form, right or wrong: then it is judged, and never a placeholder."""
        ...

    def recall(self, presented: Presented) -> Identity | None:
        """The identity when memory proves it, `None` when only `authenticate` can tell.

        Raises Unauthenticated when memory proves the value wrong, Unavailable when nothing can be judged now.
        """
        ...

    def authenticate(self, presented: Presented) -> Identity:
        """The identity; raises Unauthenticated or Unavailable."""
        ...

    def current(self, identity: Identity) -> Identity:
        """An identity that this method proved earlier, as it stands now.

        Raises Unauthenticated when it has ended, Unavailable when nothing can be judged now.
        """
        ...


def as_of_now(proved: Identity, now: Identity) -> Identity:
    """An identity as its method has it `now`, with the second factor that was shown when it was proved."""
    if proved.second_factor and now.factor_due == "code":
        return replace(now, second_factor=True, factor_due=None)
    return now


def wrong(reason: Reason, detail: str = "") -> Unauthenticated:
    """A value that did not prove anything. The sentence never says what was wrong; `reason` is for log and metrics."""
    return Unauthenticated("The credential is not valid.", reason=reason, detail=detail)
