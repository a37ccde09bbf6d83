"""OTLP in its JSON form: values, resources and the two requests to a collector.

"The JSON encoding … ids are hex-encoded, … enum values are integers, … field names lowerCamelCase"; and of protobuf's
own mapping, 64-bit integers are strings.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Value = str | bool | int | float
Attributes = Mapping[str, Value]

SCOPE = "llmauth"
_CUMULATIVE = 2


def attributes(facts: Attributes) -> list[dict[str, Any]]:
    """Names and values as OTLP writes them."""
    return [{"key": name, "value": _value(value)} for name, value in facts.items()]


def _value(value: Value) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    return {"stringValue": value}


def nanos(unix: float) -> str:
    """A moment, Unix time, in nanoseconds."""
    return str(round(unix * 1_000_000) * 1000)


def point(
    facts: Attributes, bounds: Sequence[float], counts: Sequence[int], total: float, since: float, now: float
) -> dict[str, Any]:
    """One histogram of these attributes; `since` and `now` are Unix time."""
    return {
        "attributes": attributes(facts),
        "startTimeUnixNano": nanos(since),
        "timeUnixNano": nanos(now),
        "count": str(sum(counts)),
        "sum": total,
        "bucketCounts": [str(count) for count in counts],
        "explicitBounds": list(bounds),
    }


def histogram(name: str, unit: str, text: str, points: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """A metric that only grows."""
    data = {"aggregationTemporality": _CUMULATIVE, "dataPoints": list(points)}
    return {"name": name, "unit": unit, "description": text, "histogram": data}


def metrics_request(resource: Attributes, version: str, metrics: Iterable[dict[str, Any]]) -> bytes:
    """What is posted to `/v1/metrics`."""
    scoped = {"scope": {"name": SCOPE, "version": version}, "metrics": list(metrics)}
    return _written({"resourceMetrics": [{"resource": {"attributes": attributes(resource)}, "scopeMetrics": [scoped]}]})


def traces_request(resource: Attributes, version: str, spans: Iterable[dict[str, Any]]) -> bytes:
    """What is posted to `/v1/traces`."""
    scoped = {"scope": {"name": SCOPE, "version": version}, "spans": list(spans)}
    return _written({"resourceSpans": [{"resource": {"attributes": attributes(resource)}, "scopeSpans": [scoped]}]})


def _written(request: Mapping[str, Any]) -> bytes:
    return json.dumps(request, separators=(",", ":")).encode()
