"""How the gateway stands, told to its metrics whenever somebody looks."""

from __future__ import annotations

from collections.abc import Mapping

from llmauth.credentials.status import InstanceStatus
from llmauth.gateway.recording import Recording
from llmauth.governance.limits import Limiter
from llmauth.governance.shared import SharedLimiter
from llmauth.telemetry.metrics import Metrics


def show(
    metrics: Metrics,
    *,
    ready: bool,
    keys: str,
    instances: Mapping[str, InstanceStatus],
    recording: Recording,
    limiter: Limiter,
    authority_ends: float,
) -> None:
    """Bring every gauge up to date; asks nobody outside of this process, and may be called from any thread.

    `keys` is as in `Readiness`; `authority_ends` is Unix time.
    """
    metrics.health("live", True)
    metrics.health("ready", ready)
    metrics.health("keys", keys == "ok")
    metrics.health("audit", recording.usable())
    metrics.health("limits", not (isinstance(limiter, SharedLimiter) and limiter.is_down))
    metrics.audit_waits(recording.waiting())
    metrics.authority_ends(authority_ends)
    metrics.only(instances)
    for name, one in instances.items():
        metrics.credential(name, one.strategy, one.expires_at)
        metrics.renewal(name, degraded=one.degraded, place=_place(one))


def _place(status: InstanceStatus) -> int | None:
    """Of the strategy in use, in the order of all."""
    return next((place for place, one in enumerate(status.strategies) if one.active), None)
