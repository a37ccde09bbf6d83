"""Makes a new CA: its key, and the certificate that limits it to the domains it is made for."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from llmauth.ca.certificates import BACKDATE, SERVER_AUTH, key_pem, key_usage, unsigned
from llmauth.ca.constraints import constraints

CA_DAYS = 365


def new_authority(domains: Iterable[str], now: float) -> bytes:
    """Key and certificate of a new authority, as one PEM; `now` is Unix time. Raises CaError without domains."""
    key = ec.generate_private_key(ec.SECP256R1())
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    subject = _subject(identifier)
    start = datetime.fromtimestamp(now, UTC) - BACKDATE
    certificate = (
        unsigned(subject, subject, key.public_key(), start, start + BACKDATE + timedelta(days=CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(signs_certificates=True), critical=True)
        .add_extension(SERVER_AUTH, critical=False)
        .add_extension(constraints(domains), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    return key_pem(key) + certificate.public_bytes(serialization.Encoding.PEM)


def _subject(identifier: x509.SubjectKeyIdentifier) -> x509.Name:
    # Trust stores find a root by its subject, so two authorities never share one.
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "LLM Proxy Auth"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"llmauth CA {identifier.digest.hex()[:8]}"),
        ]
    )
