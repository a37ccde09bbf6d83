"""The metrics of several processes as those of one: counters and histograms are added, each gauge as it is meant."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE
from prometheus_client.registry import Collector

__all__ = ["CONTENT_TYPE", "HOW", "Snapshot", "added", "lasting", "render", "snapshot"]

Snapshot = list[list[Any]]
"""Of each metric its name, kind and help, and its samples: name, labels in pairs, value. All of it is plain JSON."""

HOW: dict[str, Callable[[float, float], float]] = {
    "connected_clients": float.__add__,
    "open_tunnels": float.__add__,
    "requests_in_flight": float.__add__,
    "audit_records_waiting": float.__add__,
    "process_resident_memory_bytes": float.__add__,
    "process_virtual_memory_bytes": float.__add__,
    "process_open_fds": float.__add__,
    # What each process has for itself, and what is as old as the oldest.
    "process_max_fds": min,
    "process_start_time_seconds": min,
    "ca_expiry_seconds": min,
    # What does not hold in one process does not hold; what ends first is what somebody must look at.
    "health_check_status": min,
    "credential_expiry_seconds": min,
    "credential_ready": min,
    "credential_strategy_active": max,
    "credential_degraded": max,
    "credential_standby_active": max,
    "config_last_reload_successful": min,
    "config_reload_success_timestamp": min,
}
"""How two values of a gauge make one; those that are not here are counted once, by the larger one."""
_LASTING = ("counter", "histogram")


def snapshot(registry: CollectorRegistry) -> Snapshot:
    """All metrics of this process, now."""
    return [[one.name, one.type, one.documentation, _samples(one)] for one in registry.collect()]


def lasting(taken: Snapshot) -> Snapshot:
    """What stays true of a process that has ended: a sum that shrinks would look like a restart of everything."""
    return [metric for metric in taken if metric[1] in _LASTING]


def added(taken: Sequence[Snapshot]) -> Snapshot:
    """One for all."""
    metrics: dict[str, list[Any]] = {}
    values: dict[str, dict[Any, float]] = {}
    for name, kind, text, samples in (metric for each in taken for metric in each):
        metrics.setdefault(name, [name, kind, text])
        how = float.__add__ if kind in _LASTING else HOW.get(name, max)
        _join(values.setdefault(name, {}), samples, how)
    return [
        [*metric, [[*_apart(key), value] for key, value in values[name].items()]] for name, metric in metrics.items()
    ]


def render(taken: Snapshot) -> bytes:
    """In the text format, whose content type is CONTENT_TYPE."""
    registry: Any = _Told(taken)
    return generate_latest(registry)


def _samples(metric: Metric) -> list[list[Any]]:
    return [[one.name, [list(pair) for pair in one.labels.items()], float(one.value)] for one in metric.samples]


def _join(into: dict[Any, float], samples: Iterable[Any], how: Callable[[float, float], float]) -> None:
    for name, labels, value in samples:
        key = (name, tuple((label, told) for label, told in labels))
        before = into.get(key)
        into[key] = value if before is None else how(before, value)


def _apart(key: Any) -> tuple[str, list[list[str]]]:
    name, labels = key
    return name, [list(pair) for pair in labels]


class _Told(Collector):
    """Metrics that somebody else counted."""

    def __init__(self, taken: Snapshot) -> None:
        self._taken = taken

    def collect(self) -> Iterator[Metric]:
        for name, kind, text, samples in self._taken:
            metric = Metric(name, text, kind)
            for sample, labels, value in samples:
                metric.add_sample(sample, dict(labels), value)
            yield metric
