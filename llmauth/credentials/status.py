"""How an instance stands, for people and for readiness: by which strategy, for how long, and why by no other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyStatus:
    """One strategy at its place in the order.

    `reason` says why it gave nothing when it was last asked; `asked_at` is Unix time, `None` where it never was;
    `retry_in` is the seconds until it may be asked again.
    """

    label: str
    active: bool
    reason: str | None = None
    asked_at: float | None = None
    retry_in: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mishap:
    """What last went wrong, and when (Unix time)."""

    strategy: str
    reason: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceStatus:
    """Whether an instance has a credential now, and by which strategy. Moments are Unix time.

    `degraded` says that it has one, and that its renewal fails; `source` tells people where it came from.
    """

    state: Literal["ready", "pending", "failed"]
    strategy: str | None = None
    expires_at: float | None = None
    loaded_at: float | None = None
    renews_at: float | None = None
    source: str | None = None
    degraded: bool = False
    mishap: Mishap | None = None
    strategies: tuple[StrategyStatus, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """What came of an expiry that was only rehearsed: who gave the next credential, or `None`; and the seconds it took.

    `standby` is what each other strategy says when it is asked; its reason is `None` where it would have given one.
    """

    instance: str
    before: str | None
    after: str | None
    took: float
    expires_at: float | None
    standby: tuple[StrategyStatus, ...]
