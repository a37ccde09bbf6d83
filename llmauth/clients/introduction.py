"""How a proxy is met for the first time: the certificate that it shows, and whether its own TLS is known by it."""

from __future__ import annotations

import hashlib
import hmac
import ssl
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from llmauth.ca import CaError, constraints
from llmauth.outbound import Outbound, Trust
from llmauth.outbound.wire import UNREACHED, answer, first, rendered
from llmauth.sources import SourceFailed

PATH = "/ca.pem"
_TIME_LIMIT = 5.0
_MOST = 64 * 1024


class NotIntroduced(Exception):
    """Why a proxy is not to be joined; a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Introduction:
    """What a proxy showed: its public CA, and how its own TLS port is believed once a person has confirmed that CA.

    `verified` says that the public roots, or the CA file that was given, vouch for the address already; `by_itself`
    that the shown CA does. Over plain http:// both are false, and nothing vouches for it.
    """

    pem: str
    fingerprint: str
    domains: tuple[str, ...]
    expires_at: float
    verified: bool
    by_itself: bool


def introduced(url: str, ca_file: Path | None) -> Introduction:
    """Ask a proxy for its certificate; NotIntroduced where it shows none that could be trusted. No secret is sent."""
    plain = urlsplit(url).scheme == "http"
    try:
        pem, verified = _asked(url, Trust(ca_file=ca_file, private=True, plain=plain)), not plain
    except SourceFailed as failure:
        if plain or ca_file is not None or "certificate" not in failure.reason:
            raise NotIntroduced(failure.reason.replace("upstream.ca_file", "--proxy-ca-file")) from None
        pem, verified = _shown(url), False
    certificate = _certificate(pem)
    text = certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")
    by_itself = not plain and not verified
    if by_itself:
        _require_vouched(url, text)
    return Introduction(
        pem=text,
        fingerprint=fingerprint_of(certificate),
        domains=constraints.permitted(certificate),
        expires_at=certificate.not_valid_after_utc.timestamp(),
        verified=verified,
        by_itself=by_itself,
    )


def fingerprint_of(certificate: x509.Certificate) -> str:
    """SHA-256, as `4F:1A:…`."""
    return hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).digest().hex(":").upper()


def same(fingerprint: str, given: str) -> bool:
    """Whether a person wrote this fingerprint, whole, with or without its colons."""
    return hmac.compare_digest(_bare(fingerprint), _bare(given))


def _bare(fingerprint: str) -> bytes:
    return fingerprint.replace(":", "").replace(" ", "").lower().encode("utf-8", "replace")


def _asked(url: str, trust: Trust) -> bytes:
    told = Outbound(trust=trust, time_limit=_TIME_LIMIT).ask("GET", url + PATH, {"Accept": "application/x-pem-file"})
    return _body(told.status, told.body)


def _shown(url: str) -> bytes:
    """The same without asking who answers: what comes is compared by a person, and believed by nobody before."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    ends = time.monotonic() + _TIME_LIMIT
    try:
        with (
            first([(host, parts.port or 443)], ends) as connection,
            context.wrap_socket(connection, server_hostname=host) as wrapped,
        ):
            wrapped.sendall(rendered("GET", PATH, [(b"Host", parts.netloc.encode("ascii"))], b""))
            told = answer(wrapped, "GET", ends, _MOST)
    except (*UNREACHED, ValueError) as error:
        raise NotIntroduced(f"{host} cannot be asked: {type(error).__name__}") from None
    return _body(told.status, told.body)


def _body(status: int, body: bytes) -> bytes:
    if status != 200:
        raise NotIntroduced(f"nothing answers {PATH} there (status {status}); is that the address of an llmauth proxy?")
    return body


def _certificate(pem: bytes) -> x509.Certificate:
    """One certificate of an authority that is limited to names, and good today."""
    try:
        (certificate,) = x509.load_pem_x509_certificates(pem)
        authority = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        constraints.permitted(certificate)
    except (ValueError, x509.ExtensionNotFound):
        raise NotIntroduced(f"what it shows at {PATH} is not one certificate of an authority") from None
    except CaError:
        raise NotIntroduced(
            "its certificate authority is not limited to names; trust none that could sign any"
        ) from None
    now = datetime.now(UTC)
    if not authority or not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
        raise NotIntroduced("its certificate authority is not valid today; is the clock of this machine right?")
    return certificate


def _require_vouched(url: str, pem: str) -> None:
    """The TLS port must be known by something: by the CA that was shown, where it is not by a public one."""
    try:
        _asked(url, Trust(ca_data=pem, private=True))
    except SourceFailed:
        raise NotIntroduced(
            f"the certificate of {urlsplit(url).netloc} is signed neither by a public CA nor by the one that it shows; "
            "give the CA of that certificate with --proxy-ca-file"
        ) from None
