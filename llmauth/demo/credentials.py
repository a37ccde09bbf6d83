"""The made-up credentials that the emulators ask for: random per run, real-looking, worth nothing anywhere else."""

from __future__ import annotations

import base64
import hashlib
import secrets
import string
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

_ALPHANUMERIC = string.ascii_letters + string.digits
_BASE32 = string.ascii_uppercase + "234567"


@dataclass(frozen=True, slots=True, kw_only=True)
class OciIdentity:
    """A user of Oracle's cloud, and the key that its requests are signed with."""

    tenancy: str
    user: str
    fingerprint: str
    private_key: str = field(repr=False)  # PEM

    @classmethod
    def random(cls) -> OciIdentity:
        """A new user with a key."""
        key = rsa.generate_private_key(65537, 2048)
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return cls(
            tenancy="ocid1.tenancy.oc1.." + _random(_BASE32.lower(), 60),
            user="ocid1.user.oc1.." + _random(_BASE32.lower(), 60),
            fingerprint=hashlib.md5(public, usedforsecurity=False).digest().hex(":"),
            private_key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii"),
        )

    @property
    def key_id(self) -> str:
        """The name that a signature gives for its key."""
        return f"{self.tenancy}/{self.user}/{self.fingerprint}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoCredentials:
    """One credential per way of proving oneself; the session token is `None` for long-lived AWS keys."""

    openai_key: str = field(repr=False)
    anthropic_key: str = field(repr=False)
    aws_access_key_id: str
    aws_secret_access_key: str = field(repr=False)
    aws_session_token: str | None = field(repr=False)
    bedrock_api_key: str = field(repr=False)
    ibm_api_key: str = field(repr=False)
    oci: OciIdentity = field(repr=False)
    oci_api_key: str = field(repr=False)
    azure_key: str = field(repr=False)
    azure_token: str = field(repr=False)
    google_token: str = field(repr=False)
    google_key: str = field(repr=False)

    @classmethod
    def random(cls, *, session: bool = True) -> DemoCredentials:
        """New ones; `session` gives temporary AWS keys, which are only good together with their token."""
        return cls(
            openai_key="sk-demo-" + _random(_ALPHANUMERIC, 48),
            anthropic_key="sk-ant-demo-" + _random(_ALPHANUMERIC, 48),
            aws_access_key_id=("ASIA" if session else "AKIA") + _random(_BASE32, 16),
            aws_secret_access_key=_random(_ALPHANUMERIC + "+/", 40),
            aws_session_token=base64.b64encode(secrets.token_bytes(180)).decode() if session else None,
            ibm_api_key=_random(_ALPHANUMERIC + "-_", 44),
            oci=OciIdentity.random(),
            oci_api_key="sk-oci-" + _random(_ALPHANUMERIC, 48),
            bedrock_api_key="ABSK" + base64.b64encode(b"demo:" + secrets.token_bytes(61)).decode(),
            azure_key=_random(_ALPHANUMERIC, 84),
            azure_token=".".join(("eyJ" + _random(_ALPHANUMERIC, 60), _random(_ALPHANUMERIC, 200), _signature())),
            google_token="ya29." + _random(_ALPHANUMERIC + "-_", 190),
            google_key="AIza" + _random(_ALPHANUMERIC + "-_", 35),
        )


def _signature() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(255)).decode()


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))
