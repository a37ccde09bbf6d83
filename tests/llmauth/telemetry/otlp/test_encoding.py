"""OTLP's JSON: names, integers as strings, and moments in nanoseconds."""

import json

from llmauth.telemetry.otlp.encoding import attributes, histogram, metrics_request, nanos, point, traces_request


def test_values_bear_their_kind():
    told = attributes({"text": "x", "yes": True, "whole": 7, "part": 0.5})
    assert told == [
        {"key": "text", "value": {"stringValue": "x"}},
        {"key": "yes", "value": {"boolValue": True}},
        {"key": "whole", "value": {"intValue": "7"}},
        {"key": "part", "value": {"doubleValue": 0.5}},
    ]


def test_moments_are_whole_nanoseconds():
    assert nanos(1_700_000_000.123456) == "1700000000123456000"


def test_a_histogram_has_one_bucket_more_than_bounds():
    one = point({"a": "b"}, (1, 10), [1, 0, 2], 40.0, 1.0, 2.0)
    assert (one["count"], one["sum"], one["bucketCounts"], one["explicitBounds"]) == (
        "3",
        40.0,
        ["1", "0", "2"],
        [1, 10],
    )
    told = json.loads(metrics_request({"service.name": "s"}, "1", [histogram("m", "s", "M.", [one])]))
    (resource,) = told["resourceMetrics"]
    (scope,) = resource["scopeMetrics"]
    assert resource["resource"]["attributes"][0]["value"] == {"stringValue": "s"}
    assert scope["metrics"][0]["histogram"]["aggregationTemporality"] == 2


def test_spans_stand_in_their_scope():
    told = json.loads(traces_request({}, "1", [{"name": "x"}]))
    assert told["resourceSpans"][0]["scopeSpans"] == [
        {"scope": {"name": "llmauth", "version": "1"}, "spans": [{"name": "x"}]}
    ]
