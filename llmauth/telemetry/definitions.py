"""What a metric is: its name, kind, labels and meaning, written down once, where it is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge

from llmauth.telemetry.tallies import Counts, Spreads

Kind = Literal["counter", "gauge", "histogram"]

# What stands at the end of a name, after the `_total` of a counter, and the unit that it says.
_UNITS = {"seconds": "seconds", "bytes": "bytes", "timestamp": "seconds since 1970"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """One metric, and what it is about; `buckets` are the upper bounds of a histogram."""

    name: str
    kind: Kind
    text: str
    labels: tuple[str, ...]
    buckets: tuple[float, ...] = ()
    section: str = ""

    @property
    def unit(self) -> str:
        """What one of it is: as the name says, else a number of things."""
        return _UNITS.get(self.name.removesuffix("_total").rpartition("_")[2], "")


class Definitions:
    """Makes metrics in a registry, and remembers what was said of each."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.described: list[Described] = []
        self._section = ""

    def about(self, section: str) -> None:
        """What follows is about this."""
        self._section = section

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        """A counter of the library's own: several threads may count."""
        self._describe(name, "counter", text, labels)
        return Counter(name, text, labels, registry=self.registry)

    def gauge(self, name: str, text: str, *labels: str) -> Gauge:
        """A value that goes up and down."""
        self._describe(name, "gauge", text, labels)
        return Gauge(name, text, labels, registry=self.registry)

    def counts(self, name: str, text: str, *labels: str) -> Counts:
        """A counter for what comes with every request: one thread counts."""
        self._describe(name, "counter", text, labels)
        return Counts(name, text, labels, self.registry)

    def spreads(self, name: str, text: str, *labels: str, buckets: tuple[float, ...]) -> Spreads:
        """A histogram; one thread counts."""
        self._describe(name, "histogram", text, labels, buckets)
        return Spreads(name, text, labels, self.registry, buckets=buckets)

    def _describe(
        self, name: str, kind: Kind, text: str, labels: tuple[str, ...], buckets: tuple[float, ...] = ()
    ) -> None:
        self.described.append(
            Described(name=name, kind=kind, text=text, labels=labels, buckets=buckets, section=self._section)
        )
