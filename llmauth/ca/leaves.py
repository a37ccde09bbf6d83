"""The certificates that clients see: one for each host, signed when it is first wanted and again at half its life."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from llmauth.ca.certificates import BACKDATE, SERVER_AUTH, key_usage, unsigned

# Below the limit of every client; a leaf is made anew in less than a millisecond.
LEAF_DAYS = 90
CACHED_LEAVES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """A certificate for one host, and the key that all leaves of this process share.

    `chain` is what a server shows beside it: the certificates above it, without the root that clients have.
    """

    certificate: x509.Certificate
    private_key: ec.EllipticCurvePrivateKey = field(repr=False)
    chain: tuple[x509.Certificate, ...] = ()


class Leaves:
    """Signs for any host, so whoever calls `make` has asked the constraints first. Times are Unix time."""

    def __init__(self, chain: Sequence[x509.Certificate], issuer_key: ec.EllipticCurvePrivateKey) -> None:
        """`chain` begins with the certificate of the key and ends with the root, which may be the same."""
        self._issuer = chain[0]
        self._shown = tuple(chain[:-1])
        self._issuer_key = issuer_key
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._leaves: OrderedDict[str, tuple[float, Leaf]] = OrderedDict()
        self._lock = threading.Lock()

    def held(self, host: str, now: float) -> Leaf | None:
        """The leaf of a host, `None` where it has to be made."""
        with self._lock:
            cached = self._leaves.get(host)
            if cached is None or now >= cached[0]:
                return None
            self._leaves.move_to_end(host)
            return cached[1]

    def make(self, host: str, now: float) -> Leaf:
        """A new leaf, held from now on."""
        leaf = Leaf(certificate=self._sign(host, now), private_key=self._key, chain=self._shown)
        renew = now + (leaf.certificate.not_valid_after_utc.timestamp() - now) / 2
        with self._lock:
            self._leaves[host] = (renew, leaf)
            while len(self._leaves) > CACHED_LEAVES:
                self._leaves.popitem(last=False)
        return leaf

    def _sign(self, host: str, now: float) -> x509.Certificate:
        start = datetime.fromtimestamp(now, UTC) - BACKDATE
        end = min(start + timedelta(days=LEAF_DAYS), self._issuer.not_valid_after_utc)
        # A common name holds 64 characters at most (RFC 5280, ub-common-name), and "if the subject field contains an
        # empty sequence, then the issuing CA MUST include a subjectAltName extension that is marked as critical".
        named = len(host) <= 64
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)] if named else [])
        return (
            unsigned(subject, self._issuer.subject, self._key.public_key(), start, end)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=not named)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(key_usage(signs_certificates=False), critical=True)
            .add_extension(SERVER_AUTH, critical=False)
            .add_extension(self._issuer_identifier, critical=False)
            .sign(self._issuer_key, hashes.SHA256())
        )

    @property
    def _issuer_identifier(self) -> x509.AuthorityKeyIdentifier:
        own = self._issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)
