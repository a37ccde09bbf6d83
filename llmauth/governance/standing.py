"""What is left of a caller's limits, and the header fields in which each provider tells its own SDKs that."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from llmauth.governance.buckets import UNIT
from llmauth.governance.demands import Permit, Reading, Scope

Field = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """One limit a minute: how much there is, how much is left, and in how many seconds it is full again."""

    limit: int
    remaining: int
    reset: float

    @classmethod
    def of(cls, limit: int, level: int) -> Self:
        """The gauge of a bucket whose level is this."""
        missing = limit * UNIT - level
        return cls(limit=limit, remaining=max(0, level // UNIT), reset=max(0.0, missing / max(1, limit) / 1000))


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Of all scopes that count for a request, the limit that is nearest, for requests and for tokens."""

    requests: Gauge | None = None
    tokens: Gauge | None = None


def standing_of(scopes: Sequence[Scope], readings: Sequence[Reading]) -> Standing:
    """How these scopes stand by their readings."""
    pairs = list(zip(scopes, readings, strict=False))
    return Standing(
        requests=_nearest(
            Gauge.of(s.rpm, r.requests) for s, r in pairs if s.rpm is not None and r.requests is not None
        ),
        tokens=_nearest(Gauge.of(s.tpm, r.tokens) for s, r in pairs if s.tpm is not None and r.tokens is not None),
    )


def standing(permit: Permit) -> Standing:
    """How the limits stood when this request was let in."""
    return standing_of(permit.demand.scopes, permit.readings)


def rate_limit_fields(shape: str, of: object, wall: float) -> tuple[Field, ...]:
    """The fields in which `shape` (`openai`, `anthropic`) tells limits; none for other shapes, and none for no limit.

    `of` is a Standing, such as a RateLimited carries; `wall` is Unix time.
    """
    names = _NAMES.get(shape)
    if names is None or not isinstance(of, Standing):
        return ()
    gauges = (("requests", of.requests), ("tokens", of.tokens))
    fields = []
    for kind, gauge in gauges:
        if gauge is not None:
            reset = _moment(wall + gauge.reset) if shape == "anthropic" else _length(gauge.reset)
            for part, value in (("limit", gauge.limit), ("remaining", gauge.remaining), ("reset", reset)):
                fields.append((names[part].format(kind).encode("ascii"), str(value).encode("ascii")))
    return tuple(fields)


_NAMES: Mapping[str, Mapping[str, str]] = {
    "openai": {part: f"x-ratelimit-{part}-{{}}" for part in ("limit", "remaining", "reset")},
    "anthropic": {part: f"anthropic-ratelimit-{{}}-{part}" for part in ("limit", "remaining", "reset")},
}


def _nearest(gauges: Iterable[Gauge]) -> Gauge | None:
    return min(gauges, key=lambda gauge: gauge.remaining, default=None)


def _length(seconds: float) -> str:
    """As OpenAI writes it: `12ms`, `1.5s`, `6m0s`."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    minutes, rest = divmod(math.ceil(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def _moment(wall: float) -> str:
    """RFC 3339, as Anthropic writes it."""
    return datetime.fromtimestamp(math.ceil(wall), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
