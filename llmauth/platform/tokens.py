"""What a mounted token says of itself: decoded and never verified, since it only tells where we are, not who may."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

Cluster = Literal["eks", "aks", "gke"]

# AWS, "Dual-stack endpoints": issuers of IRSA are `oidc-eks.<region>.api.aws` beside the older `oidc.eks.…`.
_ISSUERS: Mapping[Cluster, re.Pattern[str]] = {
    "eks": re.compile(
        r"oidc\.eks\.[a-z0-9-]+\.amazonaws\.(com|com\.cn|eu)"
        r"|oidc-eks\.[a-z0-9-]+\.api\.(aws|amazonwebservices\.(com\.cn|eu))"
    ),
    "gke": re.compile(r"container\.googleapis\.com"),
    "aks": re.compile(r"([a-z0-9-]+\.)*oi(d)?c\.prod-aks\.azure\.(com|cn|us)|([a-z0-9-]+\.)+azmk8s\.(io|us)"),
}


def claims(token: str) -> Mapping[str, Any]:
    """The claims of a JWT; none of what is no JWT. Never raises."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        decoded = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):  # no base64, no UTF-8, no JSON; or JSON that is deeper than anybody's
        return {}
    return decoded if isinstance(decoded, dict) else {}


def issuer(token: str) -> str | None:
    """The host of a token's issuer, if that is a URL; `kubernetes/serviceaccount` of old tokens is none."""
    named = claims(token).get("iss")
    if not isinstance(named, str) or not named.startswith("https://"):
        return None
    try:
        return urlsplit(named).hostname
    except ValueError:
        return None


def cluster(host: str) -> Cluster | None:
    """The managed Kubernetes whose tokens have an issuer of this host."""
    return next((name for name, pattern in _ISSUERS.items() if pattern.fullmatch(host)), None)


def audiences(token: str) -> frozenset[str]:
    """For whom a token is, as its claim `aud` says."""
    named = claims(token).get("aud")
    several = named if isinstance(named, list) else [named]
    return frozenset(one for one in several if isinstance(one, str))
