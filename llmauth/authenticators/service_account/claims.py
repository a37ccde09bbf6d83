"""What a token says of itself, before anybody vouches for it: enough to tell whether it is meant for us."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llmauth.authenticators.base import wrong
from llmauth.authenticators.compact import LONGEST, Compact, read
from llmauth.authenticators.service_account.accounts import PREFIX


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """The subject, issuer and audiences that a token claims, and the pod that it says it was made for."""

    subject: str
    issuer: str
    audiences: tuple[str, ...]
    pod: str
    token: Compact


def claimed(text: str) -> Claimed | None:
    """What a value claims that has the form of a service account's token; `None` for every other value."""
    # Tokens of Kubernetes begin with `{"` in base64.
    if not text.startswith("eyJ") or len(text) > LONGEST:
        return None
    try:
        token = read(text)
    except ValueError:
        return None
    claims = token.payload
    subject, issuer = claims.get("sub"), claims.get("iss")
    if not isinstance(subject, str) or not subject.startswith(PREFIX):
        return None
    return Claimed(
        subject=subject,
        issuer=issuer if isinstance(issuer, str) else "",
        audiences=_audiences(claims.get("aud")),
        pod=_pod(claims.get("kubernetes.io")),
        token=token,
    )


def end_of(claimed: Claimed) -> float:
    """The moment at which a token ends (Unix time); Unauthenticated for one without."""
    told = claimed.token.payload.get("exp")
    if isinstance(told, bool) or not isinstance(told, int | float) or not 0 < told < 2**53:
        raise wrong("malformed", "a service account's token without an end")
    return float(told)


def _audiences(told: object) -> tuple[str, ...]:
    named = [told] if isinstance(told, str) else told
    if not isinstance(named, list) or not all(isinstance(each, str) for each in named):
        return ()
    return tuple(named)


def _pod(told: Any) -> str:
    """For the log alone: a name of a pod, or nothing."""
    pod = told.get("pod") if isinstance(told, dict) else None
    name = pod.get("name") if isinstance(pod, dict) else None
    fits = isinstance(name, str) and len(name) <= 253 and name.replace("-", "").replace(".", "").isalnum()
    return str(name) if fits and str(name).isascii() else ""
