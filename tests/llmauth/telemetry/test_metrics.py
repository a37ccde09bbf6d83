"""The metrics: promised names, numeric statuses, closed label values, and cost."""

import shutil
import subprocess
import timeit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from llmauth.chat.messages import Usage
from llmauth.clock import ManualClock
from llmauth.telemetry.metrics import Metrics, Observation

TARGET = {
    "instance": "bedrock_us1",
    "provider": "bedrock",
    "region": "us-east-1",
    "mode": "transparent",
    "protocol": "native",
}


def seen(**changes) -> Observation:
    facts = {"method": "POST", "status": 200, "seconds": 0.6, "first_byte": 0.4, "overhead": 0.002, **TARGET}
    return Observation(**{**facts, **changes})


# Their series begin at nothing, so that a rise can be told of the first.
BEGUN = ("http_requests_total", "error_total", "rate_limited_total", "config_reloads_total")


def samples(metrics: Metrics) -> dict[str, list[tuple[dict[str, str], float]]]:
    """By name, without those that have only begun."""
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(metrics.render()[0].decode()):
        for sample in family.samples:
            if sample.name in BEGUN and not sample.value:
                continue
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def full() -> Metrics:
    metrics = Metrics(models=["claude"])
    metrics.observe(seen(model="claude", usage=Usage(input=1), unmetered="cut"))
    metrics.observe(seen(status=429, error="rate_limit_exceeded", aborted=True))
    metrics.health("ready", True)
    metrics.client_connected()
    metrics.auth_failed("api_key", "missing")
    metrics.credential("bedrock_us1", "workload_identity", 4_000_000_000)
    metrics.aws_credential_retrieved("bedrock_us1", True)
    return metrics


def test_a_routed_request_is_counted_with_its_labels():
    metrics = Metrics(models=["claude"])
    metrics.observe(seen(model="claude"))
    metrics.observe(seen(model="claude"))
    found = samples(metrics)
    labels = {**TARGET, "model": "claude"}
    assert found["bedrock_proxy_requests_total"] == [({**labels, "status": "200"}, 2)]
    assert found["bedrock_proxy_request_duration_seconds_count"] == [(labels, 2)]
    assert found["http_requests_total"] == [({"method": "POST", "status": "200"}, 2)]
    assert found["time_to_first_token_seconds_sum"] == [({"instance": "bedrock_us1", "model": "claude"}, 0.8)]
    assert found["proxy_overhead_seconds_sum"] == [({"instance": "bedrock_us1"}, 0.004)]
    assert "http_request_errors_total" not in found


def test_every_promised_name_is_there():
    names = set(samples(full()))
    assert {
        "bedrock_proxy_requests_total",
        "bedrock_proxy_request_duration_seconds_bucket",
        "http_requests_total",
        "http_request_duration_seconds_bucket",
        "http_request_errors_total",
        "health_check_status",
        "connected_clients",
        "auth_failures_total",
        "error_total",
        "proxy_overhead_seconds_bucket",
        "time_to_first_token_seconds_bucket",
        "stream_aborted_total",
        "aws_credential_retrievals_total",
        "credential_expiry_seconds",
        "credential_strategy_active",
        "tokens_total",
        "bedrock_tokens_processed_total",
        "unmetered_usage_total",
    } <= names
    assert not any(name.endswith("_created") for name in names)


def test_a_refusal_before_routing_has_no_target():
    metrics = Metrics()
    metrics.observe(Observation(method="GET", status=401, seconds=0.001, error="invalid_api_key", fault="caller"))
    found = samples(metrics)
    assert "bedrock_proxy_requests_total" not in found
    assert found["http_request_errors_total"] == [({"method": "GET", "status": "401"}, 1)]
    assert found["error_total"] == [({"error_type": "invalid_api_key", "fault": "caller"}, 1)]


def test_an_answer_that_failed_has_no_time_to_its_first_token():
    metrics = Metrics()
    metrics.observe(seen(status=500, aborted=True))
    found = samples(metrics)
    assert "time_to_first_token_seconds_count" not in found
    assert found["stream_aborted_total"] == [({"instance": "bedrock_us1"}, 1)]


@pytest.mark.parametrize(("status", "label"), [(200, "200"), (599, "599"), (0, "000"), (199, "000"), (10**9, "000")])
def test_the_alert_of_the_readme_can_match(status, label):
    """R3: numeric, from 200 to 599."""
    metrics = Metrics()
    metrics.observe(seen(status=status))
    assert samples(metrics)["http_requests_total"][0][0]["status"] == label
    assert samples(metrics)["bedrock_proxy_requests_total"][0][0]["status"] == label


def test_labels_are_closed_whatever_clients_send():
    """R3: 2,000 odd requests make no more series than one."""
    metrics = Metrics(models=["claude"])
    for number in range(2000):
        metrics.observe(seen(method=f"M{number}", model=f"canary-{number}", error=f"e{number}", fault=f"f{number}"))
    text = metrics.render()[0].decode()
    assert "canary" not in text
    found = samples(metrics)
    assert found["bedrock_proxy_requests_total"] == [({**TARGET, "model": "other", "status": "200"}, 2000)]
    assert found["http_requests_total"] == [({"method": "other", "status": "200"}, 2000)]
    assert found["error_total"] == [({"error_type": "other", "fault": "other"}, 2000)]
    assert len(metrics._targets) == len(metrics._http) == 1


def test_a_websocket_is_counted_with_what_it_carried():
    metrics = Metrics()
    metrics.observe(seen(method="GET", status=101, carried=(12, 3400)))
    metrics.observe(seen(method="GET", status=101, carried=(1, 1)))
    shown = samples(metrics)
    assert ({"method": "GET", "status": "101"}, 2.0) in shown["http_requests_total"]
    carried = {labels["direction"]: value for labels, value in shown["websocket_bytes_total"]}
    assert carried == {"in": 13.0, "out": 3401.0}


def test_reasons_of_refusals_are_bounded():
    metrics = Metrics()
    for number in range(200):
        metrics.auth_failed("api_key", f"r{number}")
    assert len(samples(metrics)["auth_failures_total"]) <= 65


def test_a_credentials_end_comes_nearer_between_scrapes():
    clock = ManualClock()
    metrics = Metrics(clock=clock)
    metrics.credential("b", "workload_identity", clock.wall() + 3600)
    clock.advance(188)
    labels = {"instance": "b", "strategy": "workload_identity"}
    assert samples(metrics)["credential_expiry_seconds"] == [(labels, 3412)]
    clock.advance(9999)
    assert samples(metrics)["credential_expiry_seconds"] == [(labels, 0)]


def test_the_strategy_in_use_changes_hands():
    clock = ManualClock()
    metrics = Metrics(clock=clock)
    metrics.credential("b", "workload_identity", clock.wall() + 60)
    metrics.credential("b", "environment", None)
    found = samples(metrics)
    assert {labels["strategy"]: value for labels, value in found["credential_strategy_active"]} == {
        "workload_identity": 0,
        "environment": 1,
    }
    assert "credential_expiry_seconds" not in found
    metrics.credential("b", None, None)
    assert {value for _, value in samples(metrics)["credential_strategy_active"]} == {0}


def test_clients_and_health():
    metrics = Metrics()
    metrics.client_connected()
    metrics.client_connected()
    metrics.client_disconnected()
    metrics.health("ready", True)
    metrics.health("ready", False)
    found = samples(metrics)
    assert found["connected_clients"] == [({}, 1)]
    assert found["health_check_status"] == [({"check": "ready"}, 0)]


def test_tunnels_are_counted_by_what_ended_them():
    metrics = Metrics()
    for _ in range(3):
        metrics.tunnel_opened()
    metrics.tunnel_closed("client", sent=5, received=7)
    metrics.tunnel_closed("evil.example", sent=1, received=1)
    found = samples(metrics)
    assert found["open_tunnels"] == [({}, 1)]
    assert found["tunnels_total"] == [({"end": "client"}, 1), ({"end": "other"}, 1)]
    assert found["tunnel_bytes_total"] == [({"direction": "sent"}, 6), ({"direction": "received"}, 8)]


def test_limits_are_counted_by_their_name():
    metrics = Metrics()
    for limit in ("head_timeout", "head_timeout", "connections"):
        metrics.limit_reached(limit)
    counted = {labels["limit"]: value for labels, value in samples(metrics)["limits_reached_total"]}
    assert counted == {"head_timeout": 2.0, "connections": 1.0}


def test_an_observation_is_cheap():
    metrics, one = Metrics(), seen()
    metrics.observe(one)
    best = min(timeit.repeat(lambda: metrics.observe(one), number=2000, repeat=5)) / 2000
    assert best < 40e-6  # 5 us on an idle machine; a look-up of every label would cost some 30


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool")
def test_promtool_finds_nothing():
    result = subprocess.run(
        ["promtool", "check", "metrics"], input=full().render()[0], capture_output=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, b"")


def test_tokens_and_why_they_are_not_known():
    metrics = Metrics()
    metrics.observe(seen(usage=Usage(input=5, output=7)))
    metrics.observe(seen(usage=Usage(input=5, output=1), unmetered="cut"))
    metrics.observe(seen(unmetered="not_told"))
    metrics.observe(seen(unmetered="canary"))
    found = samples(metrics)
    tokens = {(labels["direction"], labels["cache"]): value for labels, value in found["tokens_total"]}
    assert tokens == {("input", "none"): 10, ("input", "read"): 0, ("input", "write"): 0, ("output", "none"): 8}
    processed = {labels["direction"]: value for labels, value in found["bedrock_tokens_processed_total"]}
    assert processed == {"input": 10, "output": 8}
    unmetered = {labels["reason"]: value for labels, value in found["unmetered_usage_total"]}
    assert unmetered == {"cut": 1, "not_told": 1, "other": 1}


def test_times_apart():
    """What we took, what it took to reach the provider, and what the provider took."""
    metrics = Metrics()
    metrics.observe(seen(overhead=0.002, connect=0.1, upstream=2.5))
    found = samples(metrics)
    names = ("proxy_overhead_seconds_sum", "upstream_connect_seconds_sum", "upstream_duration_seconds_sum")
    assert [found[name] for name in names] == [[({"instance": "bedrock_us1"}, value)] for value in (0.002, 0.1, 2.5)]


@pytest.mark.parametrize("of_bedrock", [True, False])
def test_only_answers_of_models_on_bedrock_are_invocations(of_bedrock):
    metrics = Metrics(models=["claude"])
    provider = "bedrock" if of_bedrock else "openai"
    metrics.observe(seen(model="claude", provider=provider, usage=Usage(input=1)))
    metrics.observe(seen(model="claude", provider=provider, unmetered="cut"))
    metrics.observe(seen(model="claude", provider=provider))
    labels = {"instance": "bedrock_us1", "region": "us-east-1", "model": "claude"}
    assert samples(metrics).get("bedrock_model_invocations_total", []) == ([(labels, 2)] if of_bedrock else [])


def test_limits_of_callers_are_counted_by_kind():
    metrics = Metrics()
    for limit in ("tokens", "tokens", "budget", "canary"):
        metrics.observe(Observation(method="POST", status=429, seconds=0.1, error="x", fault="policy", limit=limit))
    counted = {labels["limit"]: value for labels, value in samples(metrics)["rate_limited_total"]}
    assert counted == {"tokens": 2, "budget": 1, "other": 1}


def test_what_an_alert_looks_for_begins_at_nothing():
    """A series whose first value is 1 has never risen, and an alert on its rise would stay quiet."""
    metrics = Metrics()
    metrics.only(["openai"])
    shown = metrics.render()[0].decode()
    for line in (
        'error_total{error_type="credential_rejected",fault="proxy"} 0.0',
        'http_requests_total{method="POST",status="502"} 0.0',
        'rate_limited_total{limit="budget"} 0.0',
        'stream_aborted_total{instance="openai"} 0.0',
        'unpriced_usage_total{instance="openai"} 0.0',
        'config_reloads_total{result="failure"} 0.0',
    ):
        assert line in shown


def test_a_model_that_comes_later_is_known():
    metrics = Metrics(models=["claude"])
    metrics.know(["llama"])
    for model in ("claude", "llama", "other-one"):
        metrics.observe(seen(model=model))
    assert {labels["model"] for labels, _ in samples(metrics)["bedrock_proxy_requests_total"]} == {
        *("claude", "llama", "other"),
    }


def test_every_metric_is_described_as_it_is_shown():
    metrics = full()
    shown = {family.name: family for family in text_string_to_metric_families(metrics.render()[0].decode())}
    described = {one.name.removesuffix("_total"): one for one in metrics.described()}
    assert described.keys() == shown.keys()
    for name, family in shown.items():
        if not name.startswith("process_"):
            assert (described[name].kind, described[name].text) == (family.type, family.documentation)
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        assert labels <= set(described[name].labels)
