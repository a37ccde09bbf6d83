"""Tells log and metrics why somebody was not let in, and never what was presented."""

from __future__ import annotations

import hmac
import logging
import os
from collections.abc import Callable, Sequence

from llmauth.authenticators.base import Presented
from llmauth.errors import BadRequest, Forbidden, GatewayError, Unauthenticated, Unavailable

log = logging.getLogger(__name__)

OnFailure = Callable[[str, str], None]
"""Is told a method and a reason, both from closed sets."""

_REASONS: dict[type[GatewayError], str] = {BadRequest: "doubled", Forbidden: "conflict", Unavailable: "unavailable"}


def reason_of(error: GatewayError) -> str:
    """Why, in one word of a closed set."""
    return error.reason if isinstance(error, Unauthenticated) else _REASONS.get(type(error), error.code)


class Failures:
    """One warning and one count for each refusal; for a caller that presented nothing, which is normal, no warning."""

    def __init__(self, on_failure: OnFailure | None = None) -> None:
        self._on_failure = on_failure or (lambda method, reason: None)
        self._secret = os.urandom(32)

    def tell(
        self, error: GatewayError, *, method: str, slots: str, source: str, presented: Sequence[Presented]
    ) -> None:
        """Count and log a refusal: by which method, of what stood in which slots, and from where it came."""
        reason, fp = reason_of(error), "+".join(map(self._fingerprint, presented))
        if isinstance(error, Unauthenticated):
            error.fp = fp
        self._on_failure(method, reason)
        log.log(
            logging.INFO if reason == "missing" else logging.WARNING,
            "auth_failed",
            extra={
                "reason": reason,
                "source": source,
                "fp": fp,
                "method": method,
                "slots": slots,
                "detail": error.detail,
            },
        )

    def _fingerprint(self, presented: Presented) -> str:
        """Tells equal values from different ones in one run of the process, and can be turned into no value."""
        value = presented.value.encode("utf-8", "surrogateescape")
        return hmac.digest(self._secret, value, "sha256").hex()[:8]
