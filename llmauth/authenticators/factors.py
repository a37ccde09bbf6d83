"""The second factor of a key: who owes one, and what a code proves."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Protocol

from llmauth.clock import Clock
from llmauth.context import Identity
from llmauth.errors import Forbidden, SecondFactorRequired

HEADER = "x-totp-code"
LASTING = frozenset({"api_key", "basic", "sigv4"})
"""Methods that prove somebody by a secret that lasts, and so owe a second one where all must show it."""
_SESSION_HINT = (
    "Send a code as `X-TOTP-Code`, or exchange key and code for a session: POST /auth/login with "
    '{"api_key": …, "totp_code": …}.'
)


class Proven(Protocol):
    """What became of a code: `accepted`, `wrong`, `locked` for so many `seconds`, or `none` where none is enrolled."""

    @property
    def outcome(self) -> str: ...

    @property
    def seconds(self) -> float: ...


class ProvesFactors(Protocol):
    """The store of second factors. A code that it accepts is used up, in every process, when this returns."""

    def prove_factor(self, key_id: str, code: str, at: float) -> Proven: ...


class SecondFactors:
    """Judges codes by the store; may block."""

    def __init__(self, store: ProvesFactors, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def prove(self, identity: Identity, code: str) -> Identity:
        """The identity with its second factor; SecondFactorRequired for a wrong code, which counts against the key."""
        assert identity.key_id is not None
        result = self._store.prove_factor(identity.key_id, code, self._clock.wall())
        if result.outcome == "accepted":
            return replace(identity, second_factor=True, factor_due=None)
        if result.outcome == "locked":
            seconds = max(1, math.ceil(result.seconds))
            raise SecondFactorRequired(
                "Too many wrong codes; the second factor of this key is locked.",
                reason="factor_locked",
                hint=f"Try again in {seconds} seconds.",
                detail=f"key {identity.key_id}",
            )
        raise SecondFactorRequired(
            "The code of the second factor is not valid.",
            reason="factor_wrong",
            hint="Each code is taken once, within half a minute of its time; wait for the next one.",
            detail=f"key {identity.key_id}: {result.outcome}",
        )


def require_code(identity: Identity, code: str | None) -> str:
    """The code to be judged for an identity that owes one.

    SecondFactorRequired where there is none, Forbidden for a key that has no second factor and must have one.
    """
    if identity.factor_due == "enrolment":
        name = identity.key_name or identity.key_id or "NAME"
        raise Forbidden(
            "This key needs a second factor, and has none.",
            hint=f"Whoever issues keys enrols one by `llmauth keys enrol-totp {name}`.",
            code="second_factor_not_enrolled",
        )
    if code is None:
        raise SecondFactorRequired(
            "This key needs its second factor.",
            reason="factor_missing",
            hint=_SESSION_HINT,
            detail=f"key {identity.key_id}",
        )
    return code
