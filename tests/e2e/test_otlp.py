"""OpenTelemetry: what a collector is told of real requests, and that nobody waits for it."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from llmauth.demo.emulators import Emulators
from tests.fixtures.calls import CHAT, STREAM, call, get
from tests.fixtures.collector import Collector, collector, plain
from tests.fixtures.raw import Wire
from tests.fixtures.serving import Serving, free_port
from tests.llmauth.demo.clients import cloud_interpreter

Serve = Callable[..., Serving]
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
MESSAGE = b'{"model":"claude-sonnet-4-5","max_tokens":9,"messages":[{"role":"user","content":"CANARY-PROMPT"}]}'
HEADER = "Bearer canary-of-the-collector"
# What only protobuf itself can say: that these are requests of OTLP. There identifiers are bytes in base64, which the
# JSON of OTLP writes in hexadecimal digits.
PARSE = """
import base64, json, re, sys
from google.protobuf.json_format import Parse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
kinds = {"/v1/metrics": ExportMetricsServiceRequest, "/v1/traces": ExportTraceServiceRequest}
ids = re.compile('"(traceId|spanId|parentSpanId)":"([0-9a-f]+)"')
def told(found):
    return '"%s":"%s"' % (found[1], base64.b64encode(bytes.fromhex(found[2])).decode())
for line in sys.stdin:
    path, body = json.loads(line)
    one = Parse(ids.sub(told, body), kinds[path]())
    if path == "/v1/traces":
        for span in one.resource_spans[0].scope_spans[0].spans:
            assert (len(span.trace_id), len(span.span_id), span.kind) == (16, 8, 2), span
            assert span.end_time_unix_nano >= span.start_time_unix_nano
    else:
        for metric in one.resource_metrics[0].scope_metrics[0].metrics:
            assert metric.histogram.aggregation_temporality == 2
            for point in metric.histogram.data_points:
                assert len(point.bucket_counts) == len(point.explicit_bounds) + 1
                assert sum(point.bucket_counts) == point.count
    print(path)
"""


def exporting(serve: Serve, told: Collector, **more: object) -> Serving:
    headers = {"Authorization": HEADER}
    return serve(telemetry={"otlp": {"endpoint": told.endpoint, "headers": headers, "interval": "1h", **more}})


def with_fields(gateway: Serving, *fields: tuple[str, str]) -> None:
    with Wire(gateway.port) as wire:
        headers = [("Host", "gateway"), ("X-API-Key", gateway.key()), ("Content-Type", "application/json"), *fields]
        assert wire.request("POST", "/transparent/openai/v1/chat/completions", headers, CHAT).status == 200


def test_a_collector_is_told_of_every_request(serve: Serve, emulators: Emulators) -> None:
    with collector() as told:
        gateway = exporting(serve, told)
        with_fields(gateway, ("traceparent", f"00-{TRACE}-{SPAN}-01"), ("X-Request-Id", "the-first"))
        call(gateway, STREAM)
        assert call(gateway, MESSAGE, path="/v1/nothing").status in (404, 400)
        get(gateway, "/transparent/openai/v1/models", ("X-API-Key", "llmauth_wrong_key"))
        get(gateway, "/health")
        key, log = gateway.key(), gateway.log()
        gateway.stop()
        spans, metrics = told.spans(), told.metrics()
        everything = json.dumps([(path, body.decode()) for path, _, body in told.told])
        fields = [fields["authorization"] for _, fields, _ in told.told]
    first = next(span for span in spans if span["attributes"]["llmauth.request_id"] == "the-first")
    assert (first["name"], first["traceId"], first["parentSpanId"]) == ("chat", TRACE, SPAN)
    assert first["attributes"]["gen_ai.provider.name"] == "openai"
    assert int(first["attributes"]["gen_ai.usage.output_tokens"]) > 0
    assert len(spans) == 4, "and none of the probe"
    refused = next(span for span in spans if span["attributes"]["http.response.status_code"] == "401")
    assert (refused["name"], refused["attributes"]["llmauth.fault"]) == ("GET", "caller")
    assert {"gen_ai.client.token.usage", "gen_ai.client.operation.duration"} <= metrics.keys()
    durations = metrics["gen_ai.client.operation.duration"]
    assert sum(int(point["count"]) for point in durations) == 2
    assert {plain(point["attributes"])["gen_ai.provider.name"] for point in durations} == {"openai"}
    secrets = (key, emulators.credentials.openai_key, "CANARY-PROMPT", "llmauth_wrong_key")
    assert [secret for secret in secrets if secret in everything] == []
    assert set(fields) == {HEADER}
    assert HEADER.split()[1] not in log


def test_nobody_waits_for_a_collector_that_is_not_there(serve: Serve) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    gateway = serve(telemetry={"otlp": {"endpoint": endpoint, "interval": "1s"}}, level="info")
    assert [call(gateway).status for _ in range(3)] == [200] * 3
    ends = time.monotonic() + 5
    while not (
        said := gateway.lines(
            "The collector of telemetry takes nothing: 127.0.0.1 cannot be asked: ConnectionRefusedError"
        )
    ):
        assert time.monotonic() < ends, gateway.log()
    text = get(gateway, "/metrics", ("X-API-Key", gateway.key())).body.decode()
    assert call(gateway).status == 200
    assert gateway.stop() == 0
    assert said[0]["level"] == "WARN"
    assert (
        'telemetry_exports_total{result="failed",signal="metrics"}' in text
        or 'signal="metrics",result="failed"' in text
    )
    assert "telemetry_spans_dropped_total 3.0" in text


def test_protobuf_reads_what_is_sent(serve: Serve, tmp_path: Path) -> None:
    python = cloud_interpreter()
    probe = [str(python), "-c", "import opentelemetry.proto.collector.trace.v1.trace_service_pb2"]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("opentelemetry-proto is not among the clients")
    with collector() as told:
        gateway = exporting(serve, told)
        with_fields(gateway, ("traceparent", f"00-{TRACE}-{SPAN}-01"))
        call(gateway, STREAM)
        get(gateway, "/nowhere")
        gateway.stop()
        lines = "".join(json.dumps([path, body.decode()]) + "\n" for path, _, body in told.told)
    done = subprocess.run([python, "-c", PARSE], input=lines, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == {"/v1/metrics", "/v1/traces"}
