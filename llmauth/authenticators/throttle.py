"""Slows down whoever guesses: how many values that were never seen to be right one address may have checked."""

from __future__ import annotations

import ipaddress
import math
from dataclasses import dataclass

from llmauth.clock import Clock
from llmauth.errors import RateLimited

BURST = 100.0
"""Wrong values that an address may present at once."""
REFILL = 2.0
"""Further ones a second. A key has 190 random bits; this is for passwords and codes, and for our own processor."""
_SOURCES = 16_384


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


class Throttle:
    """A bucket of failures for each address; what is known to be right never asks it.

    Used on the event loop alone. An IPv6 customer has a whole /64 to call from, which is one address here.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def require(self, source: str) -> None:
        """RateLimited when this address has had its share of wrong values."""
        bucket = self._buckets.get(_place(source))
        if bucket is None:
            return
        self._refill(bucket)
        if bucket.left < 1:
            raise RateLimited(
                "Too many wrong credentials came from this address.",
                hint="Credentials that are known to be right are still taken; others wait a moment.",
                detail="the address has had its share of wrong values",
                retry_after=math.ceil((1 - bucket.left) / REFILL),
            )

    def failed(self, source: str) -> None:
        """Count a value that was checked and is wrong."""
        place = _place(source)
        bucket = self._buckets.pop(place, None)
        if bucket is None:
            while len(self._buckets) >= _SOURCES:  # the one that failed longest ago comes first
                del self._buckets[next(iter(self._buckets))]
            bucket = _Bucket(BURST, self._clock.monotonic())
        self._refill(bucket)
        bucket.left = max(0.0, bucket.left - 1)
        self._buckets[place] = bucket

    def _refill(self, bucket: _Bucket) -> None:
        now = self._clock.monotonic()
        bucket.left = min(BURST, bucket.left + (now - bucket.at) * REFILL)
        bucket.at = now


def _place(source: str) -> str:
    if ":" not in source:
        return source
    try:
        address = ipaddress.IPv6Address(source.partition("%")[0])
    except ValueError:
        return source
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((address, 64), strict=False).network_address)
