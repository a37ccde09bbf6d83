"""The CA in use: loaded, made or replaced; it tells which hosts it covers, and hands out leaves and its bundle."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from llmauth.ca import constraints, files
from llmauth.ca.errors import CaError
from llmauth.ca.leaves import Leaf, Leaves
from llmauth.ca.making import new_authority
from llmauth.clock import Clock, SystemClock

logger = logging.getLogger(__name__)

WARN_DAYS = 30

_MISSING = (
    "There is no certificate authority in {folder}, and this server may not make its own: its clients would trust "
    "another. Mount the secret that holds {file} there (a first `llmauth ca export` elsewhere makes that file), "
    "or set `ca: {{create: true}}`."
)


class Authority:
    """A CA that can only sign names below its permitted domains; holds its key in memory and nowhere else."""

    def __init__(self, chain: Sequence[x509.Certificate], key: ec.EllipticCurvePrivateKey, clock: Clock) -> None:
        """`chain` begins with the certificate of the key and ends with the root that clients trust."""
        self.certificate = chain[-1]
        self.domains = constraints.permitted(chain[0])
        constraints.permitted(self.certificate)
        self._ends = min(one.not_valid_after_utc.timestamp() for one in chain)
        self._leaves = Leaves(chain, key)
        self._clock = clock

    @classmethod
    def load_or_create(
        cls, folder: Path, domains: Iterable[str], create: bool, clock: Clock | None = None
    ) -> Authority:
        """The authority in `folder`; where there is none it is made for `domains`, or refused unless `create`.

        Of several processes that start at once one makes it and the others read it. Raises CaError.
        """
        clock = clock or SystemClock()
        path = folder / files.KEY_FILE
        try:
            if not path.exists():
                if not create:
                    raise CaError(_MISSING.format(folder=folder, file=files.KEY_FILE))
                files.create(folder, new_authority(domains, clock.wall()))
            authority = cls(*files.read(folder), clock)
        except OSError as error:
            raise CaError(f"The certificate authority in {folder} cannot be used: {error.strerror}.") from None
        authority._require_valid(path)
        files.publish(folder, authority.certificate_pem())
        return authority

    @classmethod
    def rotate(cls, folder: Path, domains: Iterable[str], clock: Clock | None = None) -> Authority:
        """A new authority in place of the old one, whose files stay beside it under the time of this change."""
        clock = clock or SystemClock()
        now = clock.wall()
        try:
            files.replace(folder, new_authority(domains, now), datetime.fromtimestamp(now, UTC))
        except OSError as error:
            raise CaError(f"The certificate authority in {folder} cannot be replaced: {error.strerror}.") from None
        return cls.load_or_create(folder, domains, create=False, clock=clock)

    def covers(self, host: str) -> bool:
        """Whether a normalised host name is one that this authority may sign."""
        return constraints.covers(self.domains, host)

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
        held = self._leaves.held(host, now)
        if held is not None:
            return held
        if not self.covers(host) or now >= self.expires_at:
            reason = "may not sign" if now < self.expires_at else "has expired and cannot sign"
            raise CaError(f"The certificate authority {reason} '{host[:253]}'.")
        return self._leaves.make(host, now)

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
        return self._ends

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
