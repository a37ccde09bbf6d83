"""Who is believed to make client certificates: a CA file, revocation lists, and what a chain proves by them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

MOST_CERTIFICATES: Final = 4
"""How long a chain may be, its root included where a client sends that too."""


class Untrusted(Exception):
    """A chain that these authorities did not make, or have ended; the text is for the log."""


class OutOfDate(Exception):
    """A revocation list that has ended says nothing any more; nor does a chain then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """The client's own of a chain that holds. `ends` is Unix time, `mark` names the authority and those below it."""

    leaf: x509.Certificate
    ends: float
    mark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTrust:
    """Authorities and what they revoked. `lists` is `None` where nobody asked for revocation to be looked at."""

    authorities: tuple[x509.Certificate, ...]
    subjects: frozenset[bytes] = field(repr=False)
    roots: frozenset[str]
    lists: Mapping[bytes, x509.CertificateRevocationList] | None = field(repr=False)
    revoked: frozenset[str] = field(repr=False)
    lists_end: float | None

    def verify(self, chain: Sequence[x509.Certificate], now: float) -> Verified:
        """What a chain proves, the client's own first. Raises Untrusted and OutOfDate.

        Some hundred microseconds. RFC 5280 as browsers read it: version 3, keys of a size that holds, and in the
        client's own, where it has an extended key usage, `clientAuth`. A subject alternative name may be missing.
        """
        self.require_lists(now)
        at = datetime.fromtimestamp(now, UTC)
        builder = PolicyBuilder().store(Store(list(self.authorities))).time(at).max_chain_depth(MOST_CERTIFICATES - 1)
        verifier = builder.extension_policies(ca_policy=_CA, ee_policy=_CLIENT).build_client_verifier()
        try:
            found = verifier.verify(chain[0], list(chain[1:])).chain
        except (VerificationError, ValueError, UnsupportedAlgorithm) as error:
            raise Untrusted(_shown(error)) from None
        if not _is_strong(found[0]):
            raise Untrusted("a key that is too short, or of a kind that is not served")
        self._require_unrevoked(found)
        ends = min(one.not_valid_after_utc.timestamp() for one in found)
        return Verified(leaf=found[0], ends=ends, mark=_mark(found))

    def require_lists(self, now: float) -> None:
        """OutOfDate when a revocation list has ended."""
        if self.lists_end is not None and self.lists_end <= now:
            raise OutOfDate("a revocation list has ended")

    def stands(self, mark: str) -> bool:
        """Whether what was proved under this mark was not revoked since, and its authority is still believed."""
        root, *below = mark.split(".")
        ids = [f"{issuer}.{serial}" for issuer, serial in zip(below[::2], below[1::2], strict=False)]
        return root in self.roots and bool(ids) and len(below) % 2 == 0 and self.revoked.isdisjoint(ids)

    def _require_unrevoked(self, chain: Sequence[x509.Certificate]) -> None:
        if self.lists is None:
            return
        for one, issuer in pairwise(chain):
            # Without a list of its issuer nobody can say that a certificate was not revoked.
            made = self.lists.get(one.issuer.public_bytes())
            if made is None:
                raise Untrusted("no revocation list of its issuer")
            if not _is_signed(made, issuer):
                raise Untrusted("the revocation list of its issuer has a wrong signature")
            if _id(one) in self.revoked:
                raise Untrusted("revoked")


def read_trust(ca: bytes, lists: bytes | None) -> ClientTrust:
    """The authorities of a PEM file, and the lists (PEM or DER) beside it; ValueError, a sentence, for others."""
    authorities = _authorities(ca)
    made = None if lists is None else _lists(lists)
    return ClientTrust(
        authorities=authorities,
        subjects=frozenset(one.subject.public_bytes() for one in authorities),
        roots=frozenset(_short(one.public_bytes(Encoding.DER)) for one in authorities),
        lists=made,
        revoked=frozenset() if made is None else _revoked(made),
        lists_end=None if made is None else min(map(_ends, made.values())),
    )


def _authorities(content: bytes) -> tuple[x509.Certificate, ...]:
    try:
        found = tuple(x509.load_pem_x509_certificates(content))
    except ValueError:
        raise ValueError("holds no certificate in PEM form") from None
    for number, one in enumerate(found, 1):
        try:
            authority = one.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        except (x509.ExtensionNotFound, ValueError):
            authority = False
        if not authority:
            raise ValueError(f"certificate {number} is that of no authority (basicConstraints CA:TRUE)")
    return found


def _lists(content: bytes) -> dict[bytes, x509.CertificateRevocationList]:
    begin = b"-----BEGIN X509 CRL-----"
    parts = [begin + part for part in content.split(begin)[1:]]
    try:
        found = [x509.load_pem_x509_crl(part) for part in parts] or [x509.load_der_x509_crl(content)]
        names = [one.issuer.public_bytes() for one in found]
        odd = [e for one in found for e in one.extensions if e.critical]
    except ValueError:
        raise ValueError("holds no revocation list") from None
    if len(set(names)) != len(names):
        raise ValueError("holds two revocation lists of one issuer")
    if odd:
        # A part of a list, or one for some certificates only, is not what it seems to be.
        raise ValueError("holds a revocation list with a critical extension; wanted whole lists")
    return dict(zip(names, found, strict=True))


def _revoked(lists: Mapping[bytes, x509.CertificateRevocationList]) -> frozenset[str]:
    return frozenset(f"{_short(name)}.{one.serial_number:x}" for name, made in lists.items() for one in made)


def _ends(made: x509.CertificateRevocationList) -> float:
    if made.next_update_utc is None:
        raise ValueError("holds a revocation list that does not say when the next one comes (nextUpdate)")
    return made.next_update_utc.timestamp()


def _is_signed(made: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    try:
        return made.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]
    except (TypeError, ValueError, UnsupportedAlgorithm):
        return False


def _mark(chain: Sequence[x509.Certificate]) -> str:
    """The root, and each certificate below it, the client's own first: all that may end what was proved."""
    return ".".join((_short(chain[-1].public_bytes(Encoding.DER)), *(map(_id, chain[:-1] or chain))))


def _id(certificate: x509.Certificate) -> str:
    """Issuer and serial number, which name a certificate as revocation lists do."""
    return f"{_short(certificate.issuer.public_bytes())}.{certificate.serial_number:x}"


def _short(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]


def _is_strong(certificate: x509.Certificate) -> bool:
    """The keys of authorities are judged by the library; that of the client's own certificate is not."""
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):  # of a kind that is newer than the library
        return False
    if isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        return key.key_size >= (2048 if isinstance(key, rsa.RSAPublicKey) else 256)
    return isinstance(key, ed25519.Ed25519PublicKey)


def _shown(error: Exception) -> str:
    """Why, without the names in a certificate that anybody may have made."""
    return str(error).partition(" (encountered processing")[0][:200]


def _signs(policy: Policy, certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("an authority whose key usage lacks keyCertSign")


def issuers(chain: Iterable[x509.Certificate]) -> frozenset[bytes]:
    """The names of those who made these certificates, as they say."""
    return frozenset(one.issuer.public_bytes() for one in chain)


# `openssl req -x509` makes authorities without a key usage, and most client certificates have no subject alternative
# name: both are what RFC 5280 allows, and public CAs may not do.
_CA = ExtensionPolicy.webpki_defaults_ca().may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _signs)
_CLIENT = ExtensionPolicy.webpki_defaults_ee().may_be_present(x509.SubjectAlternativeName, Criticality.AGNOSTIC, None)
