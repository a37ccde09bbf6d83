"""Makes a new CA: a key, the certificate that limits it to the domains it is made for, and a root nobody can use."""

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
    """A new authority as one PEM: its key, the key's certificate, and the root that clients trust. `now` is Unix time.

    Raises CaError without domains. Java asks a root that it trusts for no constraints: RFC 5280, 6.1 takes of a trust
    anchor its name and its key alone. So the root signs one certificate, which is limited, and its own key is
    forgotten here: nobody can ever sign with it again, and the key that is kept is limited for every client.
    """
    names = constraints(domains)
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = _subject("llmauth CA", root_key.public_key())
    root = _authority(name, name, root_key.public_key(), now, 1, names).sign(root_key, hashes.SHA256())
    issuing = _subject("llmauth issuing CA", key.public_key())
    above = x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key())
    certificate = (
        _authority(issuing, name, key.public_key(), now, 0, names)
        .add_extension(above, critical=False)
        .sign(root_key, hashes.SHA256())
    )
    return key_pem(key) + b"".join(one.public_bytes(serialization.Encoding.PEM) for one in (certificate, root))


def _authority(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: float,
    path_length: int,
    names: x509.NameConstraints,
) -> x509.CertificateBuilder:
    start = datetime.fromtimestamp(now, UTC) - BACKDATE
    return (
        unsigned(subject, issuer, key, start, start + BACKDATE + timedelta(days=CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(key_usage(signs_certificates=True), critical=True)
        .add_extension(SERVER_AUTH, critical=False)
        .add_extension(names, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _subject(name: str, key: ec.EllipticCurvePublicKey) -> x509.Name:
    # Trust stores find a root by its subject, so two authorities never share one.
    number = x509.SubjectKeyIdentifier.from_public_key(key).digest.hex()[:8]
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "LLM Proxy Auth"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"{name} {number}"),
        ]
    )
