"""What waits for a collector is small, whatever a client sent, and makes the same span."""

from __future__ import annotations

import gc
import tracemalloc
from dataclasses import replace
from typing import Any

import pytest

from llmauth.addresses import HostPort
from llmauth.context import Carried, EnvelopeRoute, Routed, Target, advance
from llmauth.errors import Forbidden, RateLimited, Unauthenticated
from llmauth.http import Door
from llmauth.telemetry.access import Outcome
from llmauth.telemetry.otlp.exporter import MOST_WAITING, Exporter
from llmauth.telemetry.otlp.kept import kept
from llmauth.telemetry.otlp.spans import span_of
from tests.fixtures.outcomes import ARRIVED, KNOWN, outcome, request, routed, spoken

PARENT = ("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
LONG = "x" * 58_000


def span(one: Outcome) -> Any:
    made = span_of(one)
    if made is not None:
        del made["spanId"]
        if "parentSpanId" not in made:
            del made["traceId"]
    return made


def refused(error: Exception) -> Exception:
    """As it is at its end: with the frames that it came through."""
    try:
        raise error
    except Exception as raised:
        return raised


@pytest.mark.parametrize(
    "one",
    [
        outcome(),
        outcome(request=request(PARENT, ("Authorization", "secret"))),
        outcome(request=request(PARENT, PARENT)),
        outcome(request=request(("traceparent", PARENT[1][:-1] + "0"))),
        outcome(request=request(method=LONG, path=f"/{LONG}")),
        outcome(request=request(method="GET", path="/health", door=Door.GATEWAY)),
        outcome(request=request(path="/health" + LONG, door=Door.GATEWAY)),
        outcome(routed(path=f"/{LONG}/v1/embeddings?{LONG}")),
        outcome(routed(path="/model/m/invoke-with-response-stream")),
        outcome(routed(model=LONG)),
        outcome(routed(model="m" * 120)),
        outcome(spoken("embeddings")),
        outcome(
            advance(
                KNOWN, Routed, route=EnvelopeRoute(path=LONG, stream=True), target=Target(instance="b", provider="x")
            )
        ),
        outcome(advance(KNOWN, Carried, destination=HostPort("example.com", 443)), cut=True),
        outcome(ARRIVED, status=401, error=Unauthenticated(LONG, detail=LONG)),
        outcome(KNOWN, status=403, error=Forbidden(LONG)),
        outcome(KNOWN, status=429, error=RateLimited(LONG, code="insufficient_quota")),
        outcome(provider_request_id="p" * 120),
        outcome(provider_request_id=LONG),
    ],
)
def test_the_span_is_the_same(one: Outcome) -> None:
    small = kept(one)
    assert span(small) == span(one)
    assert len(repr(small)) < 4000
    assert len(small.request.headers.values()) <= 512


def stranger(number: int) -> Outcome:
    """A head of 58 kB in a thousand fields, and an error that holds on to it."""
    fields = [(f"x-{number}-{field}", "v" * 50) for field in range(1000)]
    head = request(*fields, PARENT, path=f"/{number}" + "p" * 2000)
    return outcome(replace(ARRIVED, request_id=f"req_{number}"), request=head, status=401, error=_raised(head))


def _raised(head: Any) -> Any:
    held = head.headers.fields
    assert held
    return refused(Unauthenticated("no " + "d" * 1000))


def test_a_full_queue_of_strangers_is_small() -> None:
    """2,048 of these heads were more than half a gigabyte."""
    exporter = Exporter(lambda *_: None, known=str, count=lambda *_: None, interval=3600.0, metrics=False)
    each = 64  # a heap that is traced is slow: the rest of the queue is as these
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(each):
            exporter.tell([stranger(number)])
        gc.collect()  # errors and their frames hold each other
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert exporter._ended is not None
    assert len(exporter._ended) == each
    assert grown / each * MOST_WAITING < 8_000_000
