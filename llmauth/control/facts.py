"""How the credentials of all instances stand, as plain values: for JSON, for a table, and for another process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmauth.credentials.status import InstanceStatus, Mishap, Rehearsal, StrategyStatus
from llmauth.platform import Platform


def of_platform(platform: Platform) -> dict[str, Any]:
    """Which platform this is taken to be, and by which signals."""
    return {
        "name": platform.name,
        "features": list(platform.features()),
        "signals": list(platform.signals),
        "forced": platform.forced,
    }


def of_instances(statuses: Mapping[str, InstanceStatus], wall: float) -> dict[str, Any]:
    """Each instance by name. Times are seconds from now, before it or after it; moments are Unix time."""
    return {name: _of_instance(status, wall) for name, status in statuses.items()}


def of_rehearsal(told: Rehearsal, wall: float) -> dict[str, Any]:
    """What came of an expiry that was rehearsed."""
    return {
        "instance": told.instance,
        "before": told.before,
        "after": told.after,
        "took": round(told.took, 3),
        "expires_in": _until(told.expires_at, wall),
        "standby": [{"strategy": one.label, "reason": one.reason} for one in told.standby],
    }


def _of_instance(status: InstanceStatus, wall: float) -> dict[str, Any]:
    return {
        "state": status.state,
        "strategy": status.strategy,
        "source": status.source,
        "expires_at": status.expires_at,
        "expires_in": _until(status.expires_at, wall),
        "loaded_at": status.loaded_at,
        "loaded_ago": None if status.loaded_at is None else max(0, round(wall - status.loaded_at)),
        "renews_in": _until(status.renews_at, wall),
        "degraded": status.degraded,
        "last_error": None if status.mishap is None else _of_mishap(status.mishap, wall),
        "strategies": [_of_strategy(one, status, wall) for one in status.strategies],
    }


def _of_strategy(one: StrategyStatus, status: InstanceStatus, wall: float) -> dict[str, Any]:
    """With why it is not the one in use."""
    standing = "active" if one.active else "not_used" if one.reason is not None else "standby"
    reason = one.reason
    if standing == "standby" and status.strategy is not None:
        reason = f"stands by: {status.strategy} comes first and has a credential"
    return {
        "strategy": one.label,
        "standing": standing,
        "reason": reason,
        "asked_ago": None if one.asked_at is None else max(0, round(wall - one.asked_at)),
        "retry_in": round(one.retry_in),
    }


def _of_mishap(mishap: Mishap, wall: float) -> dict[str, Any]:
    return {"strategy": mishap.strategy, "reason": mishap.reason, "ago": max(0, round(wall - mishap.at))}


def _until(moment: float | None, wall: float) -> int | None:
    return None if moment is None else max(0, round(moment - wall))
