"""Values that must never be printed: secrets, and the credentials that are made of them."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import NoReturn

MASK = "********"


class Secret:
    """A string that no log, error, repr, JSON or pickle can show; only `reveal()` gives it away."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The plain value; call it where the value leaves for its one destination, and nowhere else."""
        return self._value

    def fingerprint(self) -> str:
        """Eight hex digits that let two log lines be compared without telling the value."""
        return hashlib.sha256(self._encoded()).hexdigest()[:8]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._encoded(), other._encoded())

    def _encoded(self) -> bytes:
        # A variable whose bytes are no UTF-8 holds surrogates, and the error of a strict encoder shows the whole text.
        return self._value.encode("utf-8", "surrogatepass")

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return MASK

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled or copied to another process")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A long-lived key of a provider, sent in whatever header that provider reads."""

    value: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class BearerToken:
    """A token sent as `Authorization: Bearer`."""

    value: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsKeys:
    """An AWS access key pair, with a session token when it is temporary; it signs, and is never sent."""

    access_key_id: str
    secret_access_key: Secret
    session_token: Secret | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OciKey:
    """An OCI signing key, in PEM and without a passphrase; it signs, and is never sent.

    `key_id` is what the signature names it by: `tenancy/user/fingerprint`, or `ST$` and a security token.
    """

    key_id: Secret
    private_key: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class GoogleAccount:
    """A Google credential file (JSON) that is exchanged for tokens; never sent, and no provider's handler takes it."""

    info: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class EntraClient:
    """An application of Microsoft Entra with its secret, exchanged for tokens; no provider's handler takes it."""

    tenant_id: str
    client_id: str
    client_secret: Secret


Credential = ApiKey | BearerToken | AwsKeys | OciKey | GoogleAccount | EntraClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What a strategy found: the credential, the place it came from, and when it ends.

    `expires_at` is wall-clock seconds (Unix time), `None` for a credential that names no end. `refresh_after` is how
    many seconds this credential may be used before its source is asked again, `None` for the cache's own rule.
    """

    credential: Credential
    source: str
    expires_at: float | None = None
    refresh_after: float | None = None
