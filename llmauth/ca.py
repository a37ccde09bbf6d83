"""The certificate authority of intercepted tunnels: made once, limited to names that it may sign, and its leaves."""

from __future__ import annotations

import logging
import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from secrets import token_hex

import certifi
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from llmauth.addresses import is_ip_literal, normalise_host
from llmauth.clock import Clock, SystemClock

logger = logging.getLogger(__name__)

# One file holds key and certificate, so that there is never one without the other; the second is for distribution.
KEY_FILE = "ca-key.pem"
CERTIFICATE_FILE = "ca.pem"

CA_DAYS = 365
WARN_DAYS = 30
# Below the limit of every client; a leaf is made anew in less than a millisecond.
LEAF_DAYS = 90
# A client whose clock is a little behind must not find a certificate of the future.
BACKDATE = timedelta(days=1)
CACHED_LEAVES = 1000

_NO_ADDRESS = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))
_SERVER_AUTH = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])


class CaError(Exception):
    """The certificate authority is missing, unsafe, spent, or does not cover a name; the text says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """A certificate for one host, and the key that all leaves of this process share."""

    certificate: x509.Certificate
    private_key: ec.EllipticCurvePrivateKey = field(repr=False)


class Authority:
    """A CA that can only sign names below its permitted domains; holds its key in memory and nowhere else."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, clock: Clock) -> None:
        self.certificate = certificate
        self.domains = _permitted(certificate)
        self._key = key
        self._clock = clock
        self._leaf_key = ec.generate_private_key(ec.SECP256R1())
        self._leaves: OrderedDict[str, tuple[float, Leaf]] = OrderedDict()
        self._lock = threading.Lock()

    @classmethod
    def load_or_create(
        cls, folder: Path, domains: Iterable[str], create: bool, clock: Clock | None = None
    ) -> Authority:
        """The authority in `folder`; where there is none it is made for `domains`, or refused unless `create`.

        Of several processes that start at once one makes it and the others read it. Raises CaError.
        """
        clock = clock or SystemClock()
        path = folder / KEY_FILE
        try:
            if not path.exists():
                if not create:
                    raise CaError(_MISSING.format(folder=folder, file=KEY_FILE))
                _create(path, domains, clock)
            authority = cls(*_read(path), clock)
        except OSError as error:
            raise CaError(f"The certificate authority in {folder} cannot be used: {error.strerror}.") from None
        authority._require_valid(path)
        _publish(folder, authority.certificate_pem())
        return authority

    @classmethod
    def rotate(cls, folder: Path, domains: Iterable[str], clock: Clock | None = None) -> Authority:
        """A new authority in place of the old one, whose files stay beside it under the time of this change."""
        clock = clock or SystemClock()
        path = folder / KEY_FILE
        moment = datetime.fromtimestamp(clock.wall(), UTC).strftime("%Y%m%dT%H%M%SZ")
        try:
            _require_private_folder(folder)
            new = _write_temporary(path, _new_authority(domains, clock))
            for name in (KEY_FILE, CERTIFICATE_FILE) if path.exists() else ():
                kept = folder / f"{Path(name).stem}.{moment}.pem"
                if (folder / name).exists() and not kept.exists():
                    os.link(folder / name, kept)
            os.replace(new, path)
            _sync(folder)
        except OSError as error:
            raise CaError(f"The certificate authority in {folder} cannot be replaced: {error.strerror}.") from None
        return cls.load_or_create(folder, domains, create=False, clock=clock)

    def covers(self, host: str) -> bool:
        """Whether a normalised host name is one that this authority may sign."""
        if is_ip_literal(host):
            return False
        return any(host == domain or host.endswith("." + domain) for domain in self.domains)

    def require(self, hosts: Iterable[str]) -> None:
        """Raise CaError, naming the hosts and the way out, unless all of them are covered."""
        outside = sorted({host for host in hosts if not self.covers(host)})
        if outside:
            raise CaError(
                f"The certificate authority may not sign {', '.join(outside)}: it was made before this was configured. "
                "Make a new one with `llmauth ca rotate`, and give its certificate (`llmauth ca export`) to clients."
            )

    def leaf(self, host: str) -> Leaf:
        """A certificate for a host, cached; CaError for a host outside of the permitted domains."""
        now = self._clock.wall()
        with self._lock:
            cached = self._leaves.get(host)
            if cached is not None and now < cached[0]:
                self._leaves.move_to_end(host)
                return cached[1]
        if not self.covers(host) or now >= self.expires_at:
            reason = "may not sign" if now < self.expires_at else "has expired and cannot sign"
            raise CaError(f"The certificate authority {reason} '{host[:253]}'.")
        leaf = Leaf(certificate=self._sign(host, now), private_key=self._leaf_key)
        renew = now + (leaf.certificate.not_valid_after_utc.timestamp() - now) / 2
        with self._lock:
            self._leaves[host] = (renew, leaf)
            while len(self._leaves) > CACHED_LEAVES:
                self._leaves.popitem(last=False)
        return leaf

    def certificate_pem(self) -> str:
        """The public certificate, without its key."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")

    def fingerprint(self) -> str:
        """SHA-256 of the certificate, as `4F:1A:…`."""
        return self.certificate.fingerprint(hashes.SHA256()).hex(":").upper()

    def bundle(self) -> str:
        """The public roots and ours, in one PEM text, for clients that take one file only."""
        return certifi.contents().strip("\n") + "\n\n# LLM Proxy Auth\n" + self.certificate_pem()

    @property
    def expires_at(self) -> float:
        """When the certificate ends, as Unix time."""
        return self.certificate.not_valid_after_utc.timestamp()

    def days_left(self) -> int:
        """Whole days until the certificate ends."""
        return int((self.expires_at - self._clock.wall()) // 86_400)

    def _require_valid(self, path: Path) -> None:
        days = self.days_left()
        if days < 0:
            raise CaError(f"The certificate authority {path} has expired. Make a new one with `llmauth ca rotate`.")
        if days < WARN_DAYS:
            logger.warning(
                "The certificate authority expires soon; make a new one with `llmauth ca rotate`",
                extra={"days_left": days, "fingerprint": self.fingerprint()},
            )

    def _sign(self, host: str, now: float) -> x509.Certificate:
        start = datetime.fromtimestamp(now, UTC) - BACKDATE
        end = min(start + timedelta(days=LEAF_DAYS), self.certificate.not_valid_after_utc)
        # A common name holds 64 characters at most (RFC 5280, ub-common-name), and "if the subject field contains an
        # empty sequence, then the issuing CA MUST include a subjectAltName extension that is marked as critical".
        named = len(host) <= 64
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)] if named else [])
        return (
            _builder(subject, self.certificate.subject, self._leaf_key.public_key(), start, end)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=not named)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(_SERVER_AUTH, critical=False)
            .add_extension(self._authority_identifier, critical=False)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def _authority_identifier(self) -> x509.AuthorityKeyIdentifier:
        own = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


# ---- making one ----------------------------------------------------------------------------------------------------

_MISSING = (
    "There is no certificate authority in {folder}, and this server may not make its own: its clients would trust "
    " another. Mount the secret that holds {file} there (a first `llmauth ca export` elsewhere makes that file), "
    "or set `ca: {{create: true}}`."
)


def _new_authority(domains: Iterable[str], clock: Clock) -> bytes:
    """Key and certificate of a new authority, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    # Trust stores find a root by its subject, so two authorities never share one.
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "LLM Proxy Auth"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"llmauth CA {identifier.digest.hex()[:8]}"),
        ]
    )
    start = datetime.fromtimestamp(clock.wall(), UTC) - BACKDATE
    certificate = (
        _builder(subject, subject, key.public_key(), start, start + BACKDATE + timedelta(days=CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(_SERVER_AUTH, critical=False)
        .add_extension(_constraints(domains), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    return _key_pem(key) + certificate.public_bytes(serialization.Encoding.PEM)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(
        subject_name=subject,
        issuer_name=issuer,
        public_key=key,
        serial_number=x509.random_serial_number(),
        not_valid_before=start,
        not_valid_after=end,
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _constraints(domains: Iterable[str]) -> x509.NameConstraints:
    names = sorted({normalise_host(domain) for domain in domains})
    if not names:
        raise CaError("A certificate authority without permitted domains could sign any name; none is made.")
    permitted = [x509.DNSName(name) for name in names if not is_ip_literal(name)]
    return x509.NameConstraints(permitted, [x509.IPAddress(network) for network in _NO_ADDRESS])


def _permitted(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.NameConstraints).value.permitted_subtrees
    except (x509.ExtensionNotFound, ValueError):
        found = None
    names = tuple(name.value.lstrip(".").lower() for name in found or () if isinstance(name, x509.DNSName))
    if not names:
        raise CaError(
            "The certificate authority is not limited to names: its key could sign any name, so it is not used."
        )
    return names


# ---- its files -----------------------------------------------------------------------------------------------------


def _create(path: Path, domains: Iterable[str], clock: Clock) -> None:
    _require_private_folder(path.parent)
    new = _write_temporary(path, _new_authority(domains, clock))
    try:
        # link(2) fails where the name is taken: whoever is second throws its own away and reads the first one's.
        os.link(new, path)
        _sync(path.parent)
        logger.info("Certificate authority created", extra={"file": str(path)})
    except FileExistsError:
        pass
    finally:
        new.unlink()


def _write_temporary(path: Path, content: bytes, mode: int = 0o600) -> Path:
    new = path.with_name(f".{path.name}.{token_hex(8)}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    return new


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _require_private_folder(folder: Path) -> None:
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)
    found = folder.stat()
    if found.st_uid == os.getuid() and stat.S_IMODE(found.st_mode) & 0o077:
        raise CaError(f"The folder {folder} is open to other users. Close it: chmod 700 '{folder}'")


def _read(path: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    descriptor = os.open(path, os.O_RDONLY)
    with open(descriptor, "rb") as file:
        _require_private(path, os.fstat(descriptor))
        content = file.read()
    try:
        key = serialization.load_pem_private_key(content, password=None)
        certificate = x509.load_pem_x509_certificate(content)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise CaError(f"{path} does not hold a key and its certificate as PEM, without a password.") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or certificate.public_key() != key.public_key():
        raise CaError(f"{path} does not hold an elliptic curve key with the certificate of that key.")
    return certificate, key


def _require_private(path: Path, found: os.stat_result) -> None:
    # A Kubernetes secret belongs to root and is readable by the pod's group (fsGroup): that is as narrow as it gets.
    allowed = 0o700 if found.st_uid == os.getuid() else 0o740
    if stat.S_IMODE(found.st_mode) & 0o777 & ~allowed:
        raise CaError(f"The key of the certificate authority is open to other users. Close it: chmod 600 '{path}'")


def _publish(folder: Path, pem: str) -> None:
    """Keep the certificate alone in a file of its own, where the folder can be written to."""
    path = folder / CERTIFICATE_FILE
    try:
        if not path.exists() or path.read_text() != pem:
            os.replace(_write_temporary(path, pem.encode(), 0o644), path)
    except OSError:
        logger.debug("The certificate is not kept in a file of its own", extra={"folder": str(folder)})


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
