"""What Google grants: a token and the moment of its end, out of credentials of google-auth."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from llmauth.credentials.bearers import life_of, token_of
from llmauth.credentials.google.calls import Calls
from llmauth.secrets import Secret
from llmauth.sources import SourceFailed, SourceUnavailable

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
SERVICE = "Google"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A bearer token and its end as Unix time."""

    token: Secret
    ends: float


def granted(credentials: Any, calls: Calls) -> Grant:
    """The token that these credentials of google-auth are given. SourceFailed, without a text of the library's."""
    try:
        credentials.refresh(calls)
    except (SourceFailed, SourceUnavailable):
        raise
    except Exception as error:
        # Whatever its parsers run into; its own exceptions quote the answer.
        raise SourceFailed(f"Google's answer is no token: {type(error).__name__}") from None
    return Grant(token=token_of(credentials.token, SERVICE), ends=_end(credentials.expiry))


def _end(expiry: object) -> float:
    # google-auth's moments are of UTC and do not say so; `timestamp` would take them for local time.
    ends = expiry.replace(tzinfo=UTC).timestamp() if isinstance(expiry, datetime) else 0.0
    life_of(ends - time.time(), SERVICE)
    return ends
