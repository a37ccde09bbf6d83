"""The public keys of an issuer: read out of its JWKS, chosen by `kid`, and each good for its own algorithms alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from llmauth.outbound.objects import json_object
from llmauth.sources import SourceFailed

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]

# The kind of key that each algorithm takes. No HMAC: its key would be a public one, known to everybody. No `none`.
_KIND: Mapping[str, str] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RSA"),
    "ES256": "P-256",
    "ES384": "P-384",
    "EdDSA": "Ed25519",
}
# The members of a public key. What else an entry holds (a certificate, an address, a private part) is left there.
_MEMBERS: Mapping[str, tuple[str, ...]] = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
_READERS: Mapping[str, Callable[[dict[str, Any]], Any]] = {
    "RSA": RSAAlgorithm.from_jwk,
    "EC": ECAlgorithm.from_jwk,
    "OKP": OKPAlgorithm.from_jwk,
}
_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384"}
# Shorter ones are broken, longer ones keep a processor busy.
_RSA_BITS = range(2048, 8193)
MOST_KEYS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyingKey:
    """A public key. `kind` is its type or curve, `alg` the one algorithm that it says it is for; `mark` tells it from
    every other."""

    kid: str | None
    kind: str
    alg: str | None
    mark: str
    key: Any = field(repr=False)

    def fits(self, alg: str) -> bool:
        """Whether this algorithm takes such a key, and the key is meant for it."""
        return _KIND.get(alg) == self.kind and self.alg in (None, alg)

    def verifies(self, alg: str, signed: bytes, signature: bytes) -> bool:
        """Whether the signature was made with the other half of this key."""
        return self.fits(alg) and jwt.get_algorithm_by_name(alg).verify(signed, self.key, signature)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySet:
    """The keys of an issuer at one moment; `marks` are theirs."""

    keys: tuple[VerifyingKey, ...]
    marks: frozenset[str]

    def choose(self, kid: str | None, alg: str) -> VerifyingKey | None:
        """The one key of this id for this algorithm; without an id, the only one for it. Never one of several."""
        fitting = [key for key in self.keys if key.fits(alg) and (kid is None or key.kid == kid)]
        return fitting[0] if len(fitting) == 1 else None


def read_key_set(body: bytes) -> KeySet:
    """The keys in a JWKS that signatures can be checked with; SourceFailed where it is none.

    Keys for encryption, of unknown types or too short are passed over: issuers publish them beside those that matter.
    """
    told = (json_object(body) or {}).get("keys")
    if not isinstance(told, list):
        raise SourceFailed("what it publishes as its keys is no JWKS")
    if len(told) > MOST_KEYS:
        raise SourceFailed(f"it publishes more than {MOST_KEYS} keys")
    keys = tuple(key for entry in told if (key := _key(entry)) is not None)
    return KeySet(keys=keys, marks=frozenset(key.mark for key in keys))


def key_of(public: Any, *, kid: str | None = None, alg: str | None = None) -> VerifyingKey | None:
    """A public key of `cryptography` as one of ours, `None` for a kind that no algorithm here takes."""
    kind = _kind(public)
    return None if kind is None else VerifyingKey(kid=kid, kind=kind, alg=alg, mark=_mark(kid, alg, public), key=public)


def _key(entry: object) -> VerifyingKey | None:
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
        return None
    members, kid, alg = _MEMBERS.get(str(entry.get("kty"))), entry.get("kid"), entry.get("alg")
    operations = entry.get("key_ops", ["verify"])
    if members is None or not isinstance(operations, list) or "verify" not in operations:
        return None
    if not isinstance(kid, str | None) or not isinstance(alg, str | None):
        return None
    public = {"kty": entry["kty"], **{name: entry.get(name) for name in members}}
    try:
        return key_of(_READERS[entry["kty"]](public), kid=kid, alg=alg)
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError, OverflowError):
        return None


def _kind(public: Any) -> str | None:
    match public:
        case RSAPublicKey():
            return "RSA" if public.key_size in _RSA_BITS else None
        case EllipticCurvePublicKey():
            return _CURVES.get(public.curve.name)
        case Ed25519PublicKey():
            return "Ed25519"
        case _:
            return None


def _mark(kid: str | None, alg: str | None, public: Any) -> str:
    readers: Any = {"RSA": RSAAlgorithm, "Ed25519": OKPAlgorithm}.get(_kind(public) or "", ECAlgorithm)
    return json.dumps([kid, alg, readers.to_jwk(public, as_dict=True)], sort_keys=True)
