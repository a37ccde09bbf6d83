"""The emulators' own certificate authority and server certificate, good ones and, for tests, bad ones."""

from __future__ import annotations

import ipaddress
import ssl
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from llmauth.addresses import is_ip_literal
from llmauth.ca.certificates import SERVER_AUTH, key_pem, key_usage, unsigned

_DAY = timedelta(days=1)


class Certificate(Enum):
    """What the server shows to who connects."""

    VALID = "valid"
    WRONG_NAME = "wrong-name"  # good in every way, for a host that nobody asks for
    UNKNOWN_AUTHORITY = "unknown-authority"  # of the right names, signed by a CA that is not in `ca_file`
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority that lives as long as a run."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def create(cls) -> Authority:
        """A new one, good for a week."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("LLM Proxy Auth demo CA")
        certificate = (
            _begun(name, name, key, -_DAY * 60, _DAY * 7)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(key_usage(signs_certificates=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)

    @property
    def pem(self) -> bytes:
        """The public certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, hosts: Iterable[str], *, expired: bool = False) -> bytes:
        """A key and a certificate for these names, as one PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        start, end = (-_DAY * 30, -_DAY) if expired else (-_DAY, _DAY * 6)
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        certificate = (
            _begun(_name("LLM Proxy Auth demo providers"), self.certificate.subject, key, start, end)
            .add_extension(names, critical=False)
            .add_extension(issuer, critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(key_usage(signs_certificates=False), critical=True)
            .add_extension(SERVER_AUTH, critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return key_pem(key) + certificate.public_bytes(serialization.Encoding.PEM)


def server_context(authority: Authority, hosts: Iterable[str], kind: Certificate) -> ssl.SSLContext:
    """TLS as a provider's edge offers it over HTTP/1.1, with the certificate of that kind."""
    issuer = Authority.create() if kind is Certificate.UNKNOWN_AUTHORITY else authority
    names = ["another-host.example"] if kind is Certificate.WRONG_NAME else sorted(hosts)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    # The ssl module reads certificates from files only.
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "server.pem")
        file.touch(mode=0o600)
        file.write_bytes(issuer.issue(names, expired=kind is Certificate.EXPIRED))
        context.load_cert_chain(file)
    return context


def _general_name(host: str) -> x509.GeneralName:
    return x509.IPAddress(ipaddress.ip_address(host)) if is_ip_literal(host) else x509.DNSName(host)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, start: timedelta, end: timedelta
) -> x509.CertificateBuilder:
    now, public = datetime.now(UTC), key.public_key()
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    return unsigned(subject, issuer, public, now + start, now + end).add_extension(identifier, critical=False)
