"""The exporter: in a thread of its own, bounded, and never in the way of a request."""

import json
import threading

import pytest

from llmauth.telemetry.otlp import exporter as module
from llmauth.telemetry.otlp.exporter import Exporter
from tests.fixtures.outcomes import outcome, request


class Collector:
    """Takes what is sent, or says why not."""

    def __init__(self):
        self.taken, self.counted, self.refusal = [], [], None
        self.asked = threading.Event()

    def send(self, signal, body):
        self.taken.append((signal, json.loads(body)))
        self.asked.set()
        return self.refusal

    def exporter(self, **more):
        facts = {"known": str, "count": lambda *told: self.counted.append(told), "interval": 3600.0, **more}
        return Exporter(self.send, **facts)


def spans(taken):
    return [
        span
        for signal, told in taken
        if signal == "traces"
        for span in told["resourceSpans"][0]["scopeSpans"][0]["spans"]
    ]


def test_what_is_left_is_told_at_the_end():
    collector = Collector()
    exporter = collector.exporter()
    exporter.start()
    exporter.tell([outcome(), outcome()])
    exporter.stop()
    assert [signal for signal, _ in collector.taken] == ["metrics", "traces"]
    assert len(spans(collector.taken)) == 2
    assert collector.counted == [("metrics", "sent"), ("traces", "sent")]
    resource = collector.taken[0][1]["resourceMetrics"][0]["resource"]["attributes"]
    assert {one["key"] for one in resource} == {"service.name", "service.version", "service.instance.id"}


@pytest.mark.parametrize(("switched", "signals"), [("metrics", ["traces"]), ("traces", ["metrics"])])
def test_each_can_be_switched_off(switched, signals):
    collector = Collector()
    exporter = collector.exporter(**{switched: False})
    exporter.start()
    exporter.tell([outcome()])
    exporter.stop()
    assert [signal for signal, _ in collector.taken] == signals


def test_many_spans_do_not_wait_for_the_interval():
    collector = Collector()
    exporter = collector.exporter(metrics=False)
    exporter.start()
    exporter.tell([outcome()] * 600)
    assert collector.asked.wait(5)
    exporter.stop()
    assert len(spans(collector.taken)) == 600


def test_what_finds_no_room_is_dropped_and_counted():
    collector = Collector()
    exporter = collector.exporter(metrics=False)
    exporter.tell([outcome()] * (module.MOST_WAITING + 3))
    assert collector.counted == [("traces", "dropped")] * 3


def test_what_a_collector_does_not_take_is_lost_and_measures_are_not(caplog):
    collector = Collector()
    collector.refusal = "it answers 503"
    exporter = collector.exporter()
    exporter.tell([outcome()] * 5)
    exporter._export()
    exporter._export()
    assert collector.counted.count(("traces", "dropped")) == 5
    assert [one.levelname for one in caplog.records] == ["WARNING"], "said once"
    collector.refusal = None
    exporter._export()
    counts = [
        told["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]["histogram"]["dataPoints"][0]["count"]
        for signal, told in collector.taken
        if signal == "metrics"
    ]
    assert counts == ["5", "5", "5"]


def test_no_body_waits_for_a_collector():
    exporter = Collector().exporter()
    exporter.tell([outcome(request=request(body=b"x" * 10_000))])
    assert [one.request.body for one in exporter._ended] == [b""]


def test_a_request_hears_nothing_of_what_goes_wrong(caplog):
    collector = Collector()
    exporter = collector.exporter()
    exporter.tell([None])
    assert "could not be made" in caplog.text


def test_a_collector_that_hangs_ends_no_process_late(monkeypatch):
    monkeypatch.setattr(module, "_LAST_WORDS", 0.05)
    gate = threading.Event()
    exporter = Exporter(lambda *_: None if gate.wait(5) else "late", known=str, count=lambda *_: None, interval=3600.0)
    exporter.start()
    exporter.tell([outcome()])
    exporter.stop()
    assert exporter._thread.is_alive()
    gate.set()
    exporter._thread.join(5)
