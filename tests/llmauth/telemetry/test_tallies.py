"""Sums of our own show as the library's would, to the byte."""

import random

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest

from llmauth.telemetry.tallies import Counts, Spreads

BUCKETS = (0.1, 0.25, 1, 600)


def test_both_are_written_as_the_library_writes_its_own():
    disable_created_metrics()
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    sizes = Spreads("seconds", "Time.", ("method",), ours, buckets=BUCKETS)
    same = Histogram("seconds", "Time.", ("method",), registry=theirs, buckets=BUCKETS)
    counts = Counts("asked_total", "Requests.", ("method", "status"), ours)
    same_counts = Counter("asked_total", "Requests.", ("method", "status"), registry=theirs)
    values = random.Random(1)
    for each in [*BUCKETS, 0.0, 700.0, *(values.random() for _ in range(50))]:
        method = 'G"ET' if each < 0.5 else "POST"
        sizes.labels(method).observe(each)
        same.labels(method).observe(each)
        counts.labels(method, "200").inc()
        same_counts.labels(method, "200").inc()
    assert generate_latest(ours) == generate_latest(theirs)


def test_what_nobody_counted_is_named_and_empty():
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    Spreads("seconds", "Time.", ("method",), ours, buckets=BUCKETS)
    Histogram("seconds", "Time.", ("method",), registry=theirs, buckets=BUCKETS)
    assert generate_latest(ours) == generate_latest(theirs)


def test_a_scraper_may_ask_for_some_by_name():
    registry = CollectorRegistry()
    Spreads("seconds", "Time.", ("method",), registry, buckets=BUCKETS).labels("GET").observe(0.2)
    Counts("asked_total", "Requests.", ("method",), registry).labels("GET").inc()
    text = generate_latest(registry.restricted_registry(["asked_total"])).decode()
    assert 'asked_total{method="GET"} 1.0' in text
    assert "seconds" not in text
