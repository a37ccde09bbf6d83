"""What every way of proving who one is must offer, and what it is handed: one value from one slot of a request."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol

from llmauth.context import Identity
from llmauth.errors import Unauthenticated

Reason = Literal[
    "missing",  # nothing was presented where something must be
    "unrecognised",  # presented, and of no form that we know: most often a provider's own key or a placeholder
    "malformed",  # of our form at first sight, but too short, too long, or with a wrong checksum
    "unknown_key",
    "bad_key",
    "expired",
    "revoked",
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
    FORM = "form"  # the body of an exchange at a vendor's token host, which we answer
    SUBPROTOCOL = "sec-websocket-protocol"


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """What stood in a slot: of `Bearer` the token, of `Basic` the password, else the whole value."""

    slot: Slot
    value: str = field(repr=False)


class Authenticator(Protocol):
    """One method of authentication. Values that it does not recognise are never given to its other functions.

    `recall` and `current` run on the event loop for every request: memory only. `authenticate` may block.
    """

    @property
    def name(self) -> str:
        """The method's name in the configuration, in `Identity.method`, logs and metrics."""
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


def wrong(reason: Reason, detail: str = "") -> Unauthenticated:
    """A value that did not prove anything. The sentence never says what was wrong; `reason` is for log and metrics."""
    return Unauthenticated("The credential is not valid.", reason=reason, detail=detail)
