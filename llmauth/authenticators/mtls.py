"""The method `mtls`: certificates that clients show on the TLS port, believed from authorities of a file."""

from __future__ import annotations

import base64
import binascii
import hmac
import logging
import os
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from cryptography import x509
from cryptography.x509.oid import NameOID
from pydantic import BaseModel, ConfigDict

from llmauth.authenticators.base import AuthSurroundings, Presented, Slot, wrong
from llmauth.authenticators.client_trust import (
    MOST_CERTIFICATES,
    ClientTrust,
    OutOfDate,
    Untrusted,
    Verified,
    issuers,
    read_trust,
)
from llmauth.authenticators.followed import Contents, FollowedFiles
from llmauth.context import Identity
from llmauth.errors import Unauthenticated, Unavailable
from llmauth.storage.home import StateUnusable

log = logging.getLogger(__name__)

REMEMBERED = 1024
LONGEST = 64 * 1024
_NAME = re.compile(r"\w[\w.@:/+-]{0,99}")

Names = Literal["subject", "san_uri", "san_dns", "san_email"]


class MtlsOptions(BaseModel):
    """Client certificates. Without `names` a user is the first of: URI, e-mail, DNS name, common name."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    type: Literal["mtls"]
    ca_file: Path
    crl_file: Path | None = None
    names: Names | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Proof:
    trust: ClientTrust = field(repr=False)
    chain: tuple[x509.Certificate, ...] = field(repr=False)
    identity: Identity
    ends: float


class ClientCertificates:
    """The TLS handshake proved that the client has the key of its certificate; what is judged here is who made it.

    `recall` and `current` read what is replaced whole, or changed by single steps.
    """

    name: Final = "mtls"
    slots: Final = frozenset({Slot.CERTIFICATE})

    def __init__(self, options: MtlsOptions, surroundings: AuthSurroundings) -> None:
        self._options = options
        self._clock = surroundings.clock
        files = (options.ca_file,) if options.crl_file is None else (options.ca_file, options.crl_file)
        self._files = FollowedFiles(files, self._load, name="mtls")
        self._trust: ClientTrust | None = None
        # By the digest of a chain, under a secret of this process: who made it, as it says, and what it proved.
        self._issuers: dict[bytes, frozenset[bytes]] = {}
        self._proved: dict[bytes, _Proof] = {}
        self._ended: dict[str, None] = {}
        self._changing = threading.Lock()
        self._secret = os.urandom(32)

    def start(self) -> None:
        """Read the files, and follow them; StateUnusable when they cannot be used."""
        try:
            self._files.start()
        except ValueError as error:
            raise StateUnusable(f"The method 'mtls' cannot be used: {error}.") from None

    def stop(self) -> None:
        """Follow the files no longer."""
        self._files.stop()

    def usable(self) -> bool:
        """Whether certificates can be judged: not while a revocation list has ended."""
        try:
            return self._now_trusted() is not None
        except Unavailable:
            return False

    @property
    def authorities(self) -> tuple[x509.Certificate, ...]:
        """Those whose certificates are asked for."""
        return () if self._trust is None else self._trust.authorities

    def recognises(self, presented: Presented) -> bool:
        """By the names of those who made the chain, as it says itself: one of ours is among them."""
        if presented.slot is not Slot.CERTIFICATE or self._trust is None:
            return False
        digest = self._digest(presented.value)
        found = self._issuers.get(digest)
        if found is None:
            found = issuers(_readable(presented.value))
            _keep(self._issuers, digest, found)
        return not found.isdisjoint(self._trust.subjects)

    def recall(self, presented: Presented) -> Identity | None:
        """Microseconds; see Authenticator."""
        trust = self._now_trusted()
        if len(presented.value) > LONGEST or presented.value.count(" ") >= MOST_CERTIFICATES:
            raise wrong("malformed", f"more than {MOST_CERTIFICATES} certificates, or very long ones")
        proof = self._proved.get(self._digest(presented.value))
        if proof is None or proof.trust is not trust:
            return None
        if proof.ends <= self._clock.wall():
            raise wrong("expired", f"certificate {proof.identity.key_id}")
        return proof.identity

    def authenticate(self, presented: Presented) -> Identity:
        """Some hundred microseconds; see Authenticator."""
        trust = self._now_trusted()
        chain = _chain(presented.value)
        proof = self._prove(trust, chain)
        with self._changing:
            if self._trust is trust:
                _keep(self._proved, self._digest(presented.value), proof)
                self._ended.pop(proof.identity.key_id or "", None)
        return proof.identity

    def current(self, identity: Identity) -> Identity:
        """Ends with the certificate, when it is revoked, and when its authority is believed no longer."""
        trust, mark = self._now_trusted(), identity.key_id or ""
        if identity.expires_at is None or identity.expires_at <= self._clock.wall():
            raise wrong("expired", f"certificate {mark}")
        if mark in self._ended or not trust.stands(mark):
            raise wrong("revoked", f"certificate {mark}")
        return identity

    def _prove(self, trust: ClientTrust, chain: tuple[x509.Certificate, ...]) -> _Proof:
        try:
            verified = trust.verify(chain, self._clock.wall())
            identity = _identity(verified, self._options.names)
        except Untrusted as error:
            raise wrong("bad_key", f"client certificate: {error}") from None
        except OutOfDate:
            raise _unavailable() from None
        except ValueError:
            raise wrong("malformed", "a client certificate with a name that cannot be read") from None
        return _Proof(trust=trust, chain=chain, identity=identity, ends=verified.ends)

    def _now_trusted(self) -> ClientTrust:
        if self._trust is None:
            raise _unavailable()
        try:
            self._trust.require_lists(self._clock.wall())
        except OutOfDate:
            raise _unavailable() from None
        return self._trust

    def _load(self, contents: Contents) -> None:
        """Judge by these files from now on, and once more what was proved by those before."""
        crl = self._options.crl_file
        try:
            trust = read_trust(contents[self._options.ca_file], None if crl is None else contents[crl])
        except ValueError as error:
            raise ValueError(f"{' or '.join(map(str, contents))}: {error}") from None
        with self._changing:
            before, self._trust = self._proved, trust
            self._proved = {}
            for digest, proof in before.items():
                try:
                    self._proved[digest] = self._prove(trust, proof.chain)
                except (Unauthenticated, Unavailable):
                    _keep(self._ended, proof.identity.key_id or "", None)

    def _digest(self, value: str) -> bytes:
        return hmac.digest(self._secret, value.encode("utf-8", "surrogateescape"), "sha256")


def _readable(value: str) -> list[x509.Certificate]:
    """The first certificates of a chain, without those that nobody can read."""
    found = []
    for one in value.split(" ", MOST_CERTIFICATES + 1)[: MOST_CERTIFICATES + 1]:
        try:
            found.append(x509.load_der_x509_certificate(binascii.a2b_base64(one)))
            found[-1].issuer.public_bytes()
        except ValueError:
            del found[len(found) :]
    return found


def _chain(value: str) -> tuple[x509.Certificate, ...]:
    try:
        return tuple(x509.load_der_x509_certificate(base64.b64decode(one)) for one in value.split(" "))
    except ValueError:
        raise wrong("malformed", "a client certificate that cannot be read") from None


def _identity(verified: Verified, names: Names | None) -> Identity:
    groups = tuple(dict.fromkeys(_texts(verified.leaf, NameOID.ORGANIZATIONAL_UNIT_NAME)))
    user = next((found for kind in _KINDS if names in (None, kind) and (found := _named(verified.leaf, kind))), "")
    for each in (user, *groups):
        # A group that were left out could be the one that forbids something.
        if not _NAME.fullmatch(each):
            raise wrong("not_allowed", f"client certificate {verified.mark} names no user, or a user or group oddly")
    return Identity(
        user=user, method=ClientCertificates.name, key_id=verified.mark, groups=groups, expires_at=verified.ends
    )


def _named(leaf: x509.Certificate, kind: Names) -> str:
    """What a certificate is called, by one of its kinds of names; the first of several, which its authority chose."""
    if kind == "subject":
        found: Sequence[str] = _texts(leaf, NameOID.COMMON_NAME)
    else:
        try:
            alternative = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            return ""
        found = alternative.get_values_for_type(_GENERAL[kind])
    return found[0] if found else ""


def _texts(leaf: x509.Certificate, oid: x509.ObjectIdentifier) -> list[str]:
    return [one.value if isinstance(one.value, str) else "" for one in leaf.subject.get_attributes_for_oid(oid)]


def _keep[K, V](memory: dict[K, V], key: K, value: V) -> None:
    while len(memory) >= REMEMBERED:
        memory.pop(next(iter(memory), key), None)
    memory[key] = value


def _unavailable() -> Unavailable:
    return Unavailable(
        "Client certificates cannot be checked at the moment.",
        hint="Tell whoever runs this gateway.",
        detail="the revocation list of the method mtls has ended, or its files were not read",
        retry_after=60,
    )


_KINDS: Final[tuple[Names, ...]] = ("san_uri", "san_email", "san_dns", "subject")
_GENERAL: Final[dict[str, type[x509.UniformResourceIdentifier | x509.RFC822Name | x509.DNSName]]] = {
    "san_uri": x509.UniformResourceIdentifier,
    "san_email": x509.RFC822Name,
    "san_dns": x509.DNSName,
}
