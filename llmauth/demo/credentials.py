"""The made-up credentials that the emulators ask for: random per run, real-looking, worth nothing anywhere else."""

from __future__ import annotations

import base64
import secrets
import string
from dataclasses import dataclass, field

_ALPHANUMERIC = string.ascii_letters + string.digits
_BASE32 = string.ascii_uppercase + "234567"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoCredentials:
    """One credential per way of proving oneself; the session token is `None` for long-lived AWS keys."""

    openai_key: str = field(repr=False)
    anthropic_key: str = field(repr=False)
    aws_access_key_id: str
    aws_secret_access_key: str = field(repr=False)
    aws_session_token: str | None = field(repr=False)
    bedrock_api_key: str = field(repr=False)

    @classmethod
    def random(cls, *, session: bool = True) -> DemoCredentials:
        """New ones; `session` gives temporary AWS keys, which are only good together with their token."""
        return cls(
            openai_key="sk-demo-" + _random(_ALPHANUMERIC, 48),
            anthropic_key="sk-ant-demo-" + _random(_ALPHANUMERIC, 48),
            aws_access_key_id=("ASIA" if session else "AKIA") + _random(_BASE32, 16),
            aws_secret_access_key=_random(_ALPHANUMERIC + "+/", 40),
            aws_session_token=base64.b64encode(secrets.token_bytes(180)).decode() if session else None,
            bedrock_api_key="ABSK" + base64.b64encode(b"demo:" + secrets.token_bytes(61)).decode(),
        )


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))
