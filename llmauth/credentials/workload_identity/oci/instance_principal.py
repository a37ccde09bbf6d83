"""The identity of an instance of Oracle's: its certificate out of the metadata service, shown for a session token."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import Certificate, load_pem_x509_certificate

from llmauth.clock import Clock
from llmauth.credentials.workload_identity.oci import federation
from llmauth.credentials.workload_identity.oci.session import fresh_key, session, told
from llmauth.outbound import METADATA, Answer, Outbound
from llmauth.platform import Machine
from llmauth.secrets import Loaded
from llmauth.sources import SourceFailed

BASE_URL = "OCI_METADATA_BASE_URL"
DEFAULT_BASE_URL = "http://169.254.169.254/opc/v2"

SOURCE = "instance principal"
# All calls together, and the question whether this is an instance; beside them stands the making of a key.
TIME_LIMIT = 3.5
# The metadata service answers within milliseconds, or is not there.
_METADATA_LIMIT = 1.0
_BITS = 2048
_REGION = re.compile(r"[a-z]+(-[a-z]+){1,2}-[0-9]{1,2}")
# The realms' domains are all of this form. What is signed goes nowhere else, whatever the metadata service says.
_DOMAIN = re.compile(r"oracle(gov)?cloud[0-9]{0,3}\.(com|eu|uk)")


class NoMetadata(SourceFailed):
    """The metadata service cannot be reached, or does not know what an instance of Oracle's would be told."""


@dataclass(frozen=True, slots=True)
class Place:
    """The region of this instance, and the domain of its realm."""

    region: str
    domain: str

    @property
    def host(self) -> str:
        """Where its certificate is shown."""
        return f"auth.{self.region}.{self.domain}"


@dataclass(frozen=True, slots=True)
class Identity:
    """The certificate of this instance, its key, and the certificates that lead to Oracle's own."""

    leaf: Certificate
    key: RSAPrivateKey = field(repr=False)
    intermediates: tuple[Certificate, ...]


def load(machine: Machine, outbound: Outbound, clock: Clock, ends: float) -> Loaded:
    """A session token for a key that is made now; blocks until this moment of the monotonic clock.

    NoMetadata where this may be no instance of Oracle's.
    """
    service = _Metadata(machine.environ.get(BASE_URL, "").strip() or DEFAULT_BASE_URL, outbound, ends)
    place = service.place()
    identity = service.identity()
    key = fresh_key()
    asked = outbound.within(_left(ends))
    return session(federation.token(asked, place.host, identity, key, clock.wall()), key, SOURCE)


class _Metadata:
    def __init__(self, base: str, outbound: Outbound, ends: float) -> None:
        self._base = base.rstrip("/")
        self._outbound = outbound
        self._ends = ends

    def place(self) -> Place:
        answer = self._asked("instance/regionInfo")
        info = told(answer)
        region, domain = info.get("regionIdentifier"), info.get("realmDomainComponent")
        if not isinstance(region, str) or not isinstance(domain, str):
            raise NoMetadata("the metadata service of OCI does not tell the region of this instance")
        if not _REGION.fullmatch(region.lower()) or not _DOMAIN.fullmatch(domain.lower()):
            raise SourceFailed("the metadata service of OCI tells a region or a realm that is none of Oracle's")
        return Place(region.lower(), domain.lower())

    def identity(self) -> Identity:
        leaf, public = self._read("cert.pem", _certificate)
        key = self._read("key.pem", _private_key)
        above, _ = self._read("intermediate.pem", _certificate)
        if public != key.public_key():
            # They are asked for one after the other, and are replaced several times a day.
            raise SourceFailed(
                "the certificate of this instance is of another key; while both are replaced, this passes"
            )
        return Identity(leaf=leaf, key=key, intermediates=(above,))

    def _read[Read](self, name: str, parse: Callable[[bytes], Read]) -> Read:
        try:
            return parse(self._asked(f"identity/{name}").body)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise SourceFailed(f"the metadata service of OCI gives an identity/{name} that cannot be read") from None

    def _asked(self, path: str) -> Answer:
        limit = min(_METADATA_LIMIT, _left(self._ends))
        # No redirect and no browser sets this header: the service is not for whoever can make a process send a GET.
        fields = {"Authorization": "Bearer Oracle"}
        try:
            answer = self._outbound.trusting(METADATA, time_limit=limit).ask("GET", f"{self._base}/{path}", fields)
        except SourceFailed as refusal:
            raise NoMetadata(f"the metadata service of OCI: {refusal.reason}") from None
        if answer.status != 200:
            raise NoMetadata(f"the metadata service of OCI has no {path}: status {answer.status}")
        return answer


def _certificate(pem: bytes) -> tuple[Certificate, CertificatePublicKeyTypes]:
    certificate = load_pem_x509_certificate(pem)
    return certificate, certificate.public_key()


def _private_key(pem: bytes) -> RSAPrivateKey:
    key = load_pem_private_key(pem, None)
    if not isinstance(key, RSAPrivateKey) or key.key_size < _BITS:
        raise ValueError
    return key


def _left(ends: float) -> float:
    return max(0.1, round(ends - time.monotonic(), 1))  # as it is told
