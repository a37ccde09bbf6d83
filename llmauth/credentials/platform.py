"""Which platform this process runs on, told by its environment alone: no file, no network, no waiting."""

from __future__ import annotations

import logging
from collections.abc import Mapping

log = logging.getLogger(__name__)


def detect(environ: Mapping[str, str]) -> str:
    """`eks`, `kubernetes` or `generic`."""
    if _irsa(environ) or environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        return "eks"
    return "kubernetes" if in_kubernetes(environ) else "generic"


def in_kubernetes(environ: Mapping[str, str]) -> bool:
    """Whether this is a pod, where the machine's own identity belongs to the node and not to us."""
    return bool(environ.get("KUBERNETES_SERVICE_HOST"))


def features(environ: Mapping[str, str]) -> tuple[str, ...]:
    """What this platform gives to a strategy, by name."""
    return ("aws_workload_identity",) if detect(environ) == "eks" else ()


def announce(environ: Mapping[str, str]) -> None:
    """Log what was detected, once at start-up."""
    platform = detect(environ)
    found = ", ".join(f"{name}=true" for name in features(environ)) or "none"
    log.info("Platform detected: %s", platform)
    log.info("Features available: %s", found)


def _irsa(environ: Mapping[str, str]) -> bool:
    return bool(environ.get("AWS_ROLE_ARN") and environ.get("AWS_WEB_IDENTITY_TOKEN_FILE"))
