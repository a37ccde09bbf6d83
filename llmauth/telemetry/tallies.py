"""Sums that every request adds to, kept in plain numbers and made the metrics' library's own when somebody looks.

The library takes a lock and asks every bucket for each number that it is told; a request has six of them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import INF, floatToGoString

Labels = tuple[str, ...]


class Count:
    """How many there were."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0

    def inc(self) -> None:
        """One more."""
        self.value += 1


class Spread:
    """How they spread over buckets, by upper bounds that are part of their buckets; and their sum."""

    __slots__ = ("_bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """One more, of this size."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.sum += value


Cell = TypeVar("Cell", Count, Spread)


class _Family(Collector, Generic[Cell]):
    """One metric: its cells by the values of its labels. Cells are made and added to by one thread at a time."""

    def __init__(self, name: str, text: str, names: Labels, registry: CollectorRegistry) -> None:
        self._name, self._text, self._names = name, text, names
        self._cells: dict[Labels, Cell] = {}
        registry.register(self)

    def labels(self, *values: str) -> Cell:
        """The cell of these labels."""
        cell = self._cells.get(values)
        if cell is None:
            cell = self._cells[values] = self._new()
        return cell

    def _new(self) -> Cell:
        raise NotImplementedError

    def _held(self) -> list[tuple[Labels, Cell]]:
        # Read from another thread, at once: a new cell in between must not break off the reading.
        return list(self._cells.items())


class Counts(_Family[Count]):
    """A counter."""

    def _new(self) -> Count:
        return Count()

    def _family(self) -> CounterMetricFamily:
        return CounterMetricFamily(self._name, self._text, labels=self._names)

    def describe(self) -> Iterator[Metric]:
        yield self._family()

    def collect(self) -> Iterator[Metric]:
        family = self._family()
        for labels, cell in self._held():
            family.add_metric(labels, cell.value)
        yield family


class Spreads(_Family[Spread]):
    """A histogram."""

    def __init__(
        self, name: str, text: str, names: Labels, registry: CollectorRegistry, *, buckets: tuple[float, ...]
    ) -> None:
        super().__init__(name, text, names, registry)
        self._bounds = tuple(map(float, buckets))
        self._shown = [floatToGoString(bound) for bound in (*self._bounds, INF)]  # type: ignore[no-untyped-call]

    def _new(self) -> Spread:
        return Spread(self._bounds)

    def _family(self) -> HistogramMetricFamily:
        return HistogramMetricFamily(self._name, self._text, labels=self._names)

    def describe(self) -> Iterator[Metric]:
        yield self._family()

    def collect(self) -> Iterator[Metric]:
        family = self._family()
        for labels, cell in self._held():
            family.add_metric(labels, self._added_up(cell), cell.sum)
        yield family

    def _added_up(self, cell: Spread) -> list[tuple[str, float]]:
        """Bound and number of each bucket; as the format wants it, a bucket also holds what those below it hold."""
        total, found = 0, []
        for bound, count in zip(self._shown, list(cell.counts), strict=True):
            total += count
            found.append((bound, float(total)))
        return found
