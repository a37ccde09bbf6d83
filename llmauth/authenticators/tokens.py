"""The text of placeholder tokens: a JWT of one fixed form, signed by us, and read by nobody but us."""

from __future__ import annotations

import base64
import hmac
import json
from dataclasses import dataclass, fields
from typing import Any, Final

from llmauth.authenticators.base import wrong
from llmauth.clock import Clock
from llmauth.context import Identity
from llmauth.secrets import Secret

LIFETIME = 3600
LONGEST = 16 * 1024
ISSUER: Final = "llmauth"

# Fixed, and compared as bytes: no token chooses how it is checked. Its `kid` is what tells it from the tokens of
# others, most of whom begin with the same `alg` and `typ`.
_HEADER = b'{"alg":"HS256","typ":"JWT","kid":"llmauth-placeholder"}'
# Base64 writes these as `-` or `_`, which ibm-watsonx-ai decodes as each other when it looks for `exp`.
_ESCAPED = str.maketrans({mark: f"\\u{ord(mark):04x}" for mark in ">?~\x7f"})


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")


FORM: Final = _encoded(_HEADER) + "."
"""What every placeholder token begins with, and nothing else does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ByPlaceholder(Identity):
    """Who a placeholder token stands for: `origin` is what was proved when it was asked for."""

    origin: Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A token and its moments, as whole seconds of Unix time."""

    text: str
    issued_at: int
    expires_at: int

    def __repr__(self) -> str:
        return f"Issued(expires_at={self.expires_at})"

    @property
    def life(self) -> int:
        """How many seconds it lives from its beginning."""
        return self.expires_at - self.issued_at


class Tokens:
    """Makes and reads tokens with one key; `key` is hexadecimal. Nothing is remembered of a token."""

    def __init__(self, key: Secret, clock: Clock) -> None:
        self._mac = hmac.new(bytes.fromhex(key.reveal()), digestmod="sha256")
        self._clock = clock

    def now(self) -> float:
        """Unix time."""
        return self._clock.wall()

    def issue(self, identity: Identity) -> Issued:
        """A token for an identity, which ends with it, or in an hour.

        One that was proved by a token gives a token of the same end, so that no chain of exchanges outlives its first.
        """
        now = int(self.now())
        ends = now + LIFETIME if identity.expires_at is None else min(now + LIFETIME, int(identity.expires_at))
        origin = identity.origin if isinstance(identity, ByPlaceholder) else identity
        claims = {"iss": ISSUER, "sub": identity.user, "iat": now, "exp": ends, "identity": _facts(origin)}
        body = json.dumps(claims, separators=(",", ":")).translate(_ESCAPED)
        signed = FORM + _encoded(body.encode("ascii"))
        return Issued(text=f"{signed}.{self._signature(signed)}", issued_at=now, expires_at=ends)

    def read(self, text: str) -> tuple[Identity, float]:
        """Whom a token was made for, and its end; Unauthenticated unless we made it and it has not ended."""
        signed, _, signature = text.rpartition(".")
        if len(text) > LONGEST or not text.isascii() or not signed.startswith(FORM):
            raise wrong("malformed")
        if not hmac.compare_digest(self._signature(signed), signature):
            raise wrong("bad_key", "the signature of a placeholder token")
        try:
            claims = json.loads(base64.urlsafe_b64decode(_padded(signed.removeprefix(FORM))))
            identity, ends = _identity(claims["identity"]), float(claims["exp"])
        except (ValueError, KeyError, TypeError, AttributeError):  # signed by us, in a form of another version
            raise wrong("malformed", "the claims of a placeholder token") from None
        if ends <= self.now():
            raise wrong("expired", "a placeholder token")
        return identity, ends

    def _signature(self, signed: str) -> str:
        mac = self._mac.copy()
        mac.update(signed.encode("ascii"))
        return _encoded(mac.digest())


def _padded(text: str) -> str:
    return text + "=" * (-len(text) % 4)


def _facts(identity: Identity) -> dict[str, Any]:
    """What a token tells of it. What its key allows is not among it: that is asked of the key each time."""
    return {field.name: getattr(identity, field.name) for field in fields(Identity) if field.name != "rules"}


def _identity(claims: dict[str, Any]) -> Identity:
    """TypeError for fields that this version's identities do not have."""
    known = {field.name for field in fields(Identity)}
    if not claims.keys() <= known:
        raise TypeError("unknown fields")
    held: dict[str, Any] = {n: tuple(value) if isinstance(value, list) else value for n, value in claims.items()}
    return Identity(**held)
