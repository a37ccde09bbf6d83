"""The governor that a configuration means: its policies, its prices, and whoever counts."""

from __future__ import annotations

from pathlib import Path

from llmauth.clock import Clock
from llmauth.config.settings import Settings
from llmauth.governance.governor import Governor
from llmauth.governance.places import describe, open_limiter, parse_place
from llmauth.governance.prices import Prices


def open_governor(
    settings: Settings, *, workers: int = 1, broker: Path | None = None, clock: Clock | None = None
) -> Governor:
    """Not started yet; `broker` is the socket of the parent that counts for `workers` processes of this machine."""
    place = parse_place(settings.storage.limits_url)
    limiter = open_limiter(place, broker=broker, clock=clock)
    return Governor(
        settings.policies.policies(),
        Prices(settings.prices),
        limiter,
        shares=describe(place, workers),
        clock=clock,
    )
