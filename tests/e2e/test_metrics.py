"""The endpoints of the gateway itself: metrics under the promised names, behind a key; health and readiness, open."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from tests.fixtures.calls import begin
from tests.fixtures.raw import Answer, Wire, tunnel
from tests.fixtures.serving import Serving, free_port, start

CHAT = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}).encode()
CONVERSE = json.dumps({"messages": [{"role": "user", "content": [{"text": "hello"}]}]}).encode()
JSON = ("Content-Type", "application/json")
PROMISED = {
    "bedrock_proxy_requests_total": "counter",
    "bedrock_proxy_request_duration_seconds": "histogram",
    "http_requests_total": "counter",
    "http_request_duration_seconds": "histogram",
    "http_request_errors_total": "counter",
    "health_check_status": "gauge",
    "connected_clients": "gauge",
    "aws_credential_retrievals_total": "counter",
    "credential_expiry_seconds": "gauge",
    "credential_strategy_active": "gauge",
    "auth_failures_total": "counter",
    "time_to_first_token_seconds": "histogram",
    "proxy_overhead_seconds": "histogram",
    "stream_aborted_total": "counter",
    "error_total": "counter",
    "bedrock_model_invocations_total": "counter",
    "bedrock_tokens_processed_total": "counter",
    "tokens_total": "counter",
    "rate_limited_total": "counter",
    "unpriced_usage_total": "counter",
    "config_reload_success_timestamp": "gauge",
    "upstream_duration_seconds": "histogram",
    "requests_in_flight": "gauge",
    "llmauth_build_info": "gauge",
    "process_start_time_seconds": "gauge",
}


def ask(port: int, method: str, target: str, *headers: tuple[str, str], body: bytes = b"") -> Answer:
    with Wire(port) as wire:
        return wire.request(method, target, [("Host", "gateway"), *headers], body)


def scrape(gateway: Serving) -> str:
    answer = ask(gateway.port, "GET", "/metrics", ("X-API-Key", gateway.key()))
    assert answer.status == 200
    assert (answer.header("content-type") or "").startswith("text/plain; version=0.0.4")
    return answer.body.decode()


def samples(text: str, name: str) -> dict[str, float]:
    """Labels, in the order of the text, to value."""
    found = re.findall(rf"^{name}(?:\{{(.*)\}})? (\S+)$", text, re.MULTILINE)
    return {labels: float(value) for labels, value in found}


def value(text: str, name: str, **labels: str) -> float:
    """The one sample with at least these labels."""
    wanted = [f'{label}="{text}"' for label, text in labels.items()]
    found = [number for seen, number in samples(text, name).items() if all(one in seen for one in wanted)]
    assert len(found) == 1, f"{len(found)} samples of {name} with {labels}"
    return found[0]


def until(gateway: Serving, name: str, wanted: float, **labels: str) -> str:
    """A scrape in which the sample has this value: what has just ended is counted a moment later."""
    ends = time.monotonic() + 5
    while True:
        text = scrape(gateway)
        try:
            if value(text, name, **labels) == wanted:
                return text
        except AssertionError:
            pass
        if time.monotonic() > ends:
            raise TimeoutError(f"{name} {labels} did not become {wanted}:\n{text}")
        time.sleep(0.02)


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators) -> Iterator[Serving]:
    """A gateway with a metrics port, after two good calls, a refused one and a wrong key."""
    shared_emulators.clear()
    folder = tmp_path_factory.mktemp("metrics")
    serving = start(folder, shared_emulators, metrics={"port": free_port()})
    key = ("X-API-Key", serving.key())
    for _ in range(2):
        ask(serving.port, "POST", "/transparent/openai/v1/chat/completions", key, JSON, body=CHAT)
    ask(serving.port, "POST", "/transparent/openai/v1/chat/completions", key, JSON, body=b"{}")
    target = "/model/anthropic.claude-3-sonnet-20240229-v1%3A0/converse"
    ask(serving.port, "POST", f"/transparent/bedrock_us1{target}", key, JSON, body=CONVERSE)
    ask(serving.port, "GET", "/transparent/openai/v1/models", ("X-API-Key", "llmauth_wrong_key"))
    ask(serving.port, "GET", "/transparent/nobody/v1/models", key)
    yield serving
    serving.stop()


def test_every_promised_name_is_there(busy: Serving) -> None:
    text = scrape(busy)
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    assert {name: kinds.get(name) for name in PROMISED} == PROMISED


def test_requests_are_counted_by_instance_and_numeric_status(busy: Serving) -> None:
    """The alert `status=~"5.."` needs numbers."""
    text = until(busy, "bedrock_proxy_requests_total", 2, instance="openai", status="200")
    labels = {"provider": "openai", "region": "none", "mode": "transparent", "protocol": "native"}
    assert value(text, "bedrock_proxy_requests_total", instance="openai", status="200", **labels) == 2
    assert value(text, "bedrock_proxy_requests_total", instance="openai", status="400") == 1
    aws = {"instance": "bedrock_us1", "provider": "bedrock", "region": "us-east-1"}
    assert value(text, "bedrock_proxy_requests_total", status="200", **aws) == 1
    every = [*samples(text, "bedrock_proxy_requests_total"), *samples(text, "http_requests_total")]
    statuses = [re.search(r'status="([^"]*)"', labels) for labels in every]
    assert all(found and re.fullmatch(r"[2-5]\d\d", found[1]) for found in statuses)


def test_refusals_and_wrong_keys_are_counted(busy: Serving) -> None:
    text = until(busy, "http_requests_total", 1, status="404")
    assert value(text, "http_requests_total", method="GET", status="401") == 1
    assert value(text, "http_request_errors_total", status="404") == 1
    assert value(text, "error_total", error_type="instance_not_found") == 1
    assert value(text, "error_total", error_type="invalid_api_key") == 1
    assert sum(samples(text, "auth_failures_total").values()) == 1


def test_times_and_states_are_told(busy: Serving) -> None:
    text = until(busy, "bedrock_proxy_request_duration_seconds_count", 3, instance="openai")
    assert value(text, "proxy_overhead_seconds_count", instance="openai") == 3
    assert value(text, "time_to_first_token_seconds_count", instance="openai") == 2
    assert value(text, "health_check_status", check="ready") == 1
    assert value(text, "connected_clients") >= 1
    assert value(text, "credential_strategy_active", instance="openai", strategy="environment") == 1
    assert value(text, "aws_credential_retrievals_total", instance="bedrock_us1", result="success") >= 1


def test_what_the_provider_takes_is_apart_from_what_we_take(busy: Serving) -> None:
    text = until(busy, "upstream_duration_seconds_count", 3, instance="openai")
    parts = ("proxy_overhead_seconds", "upstream_connect_seconds", "upstream_duration_seconds")
    took = [value(text, f"{name}_sum", instance="openai") for name in parts]
    assert min(took) > 0
    assert sum(took) <= value(text, "bedrock_proxy_request_duration_seconds_sum", instance="openai") + 0.001
    assert value(text, "upstream_connect_seconds_count", instance="openai") == 3


def test_invocations_on_bedrock_are_counted(busy: Serving) -> None:
    text = until(busy, "bedrock_model_invocations_total", 1, instance="bedrock_us1")
    assert value(text, "bedrock_model_invocations_total", region="us-east-1", model="other") == 1
    assert value(text, "tokens_total", instance="bedrock_us1", direction="output", cache="none") > 0
    assert value(text, "bedrock_tokens_processed_total", instance="bedrock_us1", direction="input") > 0


def test_how_things_stand(busy: Serving) -> None:
    text = scrape(busy)
    for check in ("live", "ready", "keys", "audit", "limits"):
        assert value(text, "health_check_status", check=check) == 1
    assert value(text, "credential_ready", instance="openai") == 1
    assert value(text, "ca_expiry_seconds") > 86_400
    now = time.time()
    assert now - 600 < value(text, "config_reload_success_timestamp") <= now
    assert value(text, "config_last_reload_successful") == 1
    assert value(text, "llmauth_build_info") == 1


def test_requests_that_run_are_shown_by_instance(gateway: Serving, emulators: Emulators) -> None:
    emulators.behave("api.openai.com", Behaviour(first_byte_delay=0.5))
    with Wire(gateway.port) as wire:
        begin(gateway, wire)
        until(gateway, "requests_in_flight", 1, instance="openai")
        assert wire.answer().status == 200
    until(gateway, "requests_in_flight", 0, instance="openai")


def test_no_secret_and_nothing_of_a_clients_is_a_label(busy: Serving) -> None:
    text = scrape(busy)
    assert busy.key() not in text
    assert "gpt-4o" not in text
    assert "nobody" not in text


def test_metrics_need_a_key(gateway: Serving) -> None:
    key = gateway.key()
    assert ask(gateway.port, "GET", "/metrics").status == 401
    assert ask(gateway.port, "GET", "/metrics", ("X-API-Key", "llmauth_wrong_key")).status == 401
    assert ask(gateway.port, "GET", "/metrics", ("Authorization", f"Bearer {key}")).status == 200
    head = ask(gateway.port, "HEAD", "/metrics", ("X-API-Key", key))
    assert (head.status, head.body) == (200, b"")


@pytest.mark.parametrize("target", ["/metrics/", "/Metrics", "/metrics/x", "//metrics", "/%6detrics"])
def test_metrics_have_one_path(gateway: Serving, target: str) -> None:
    assert ask(gateway.port, "GET", target, ("X-API-Key", gateway.key())).status in (400, 404)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_metrics_are_read_only(gateway: Serving, method: str) -> None:
    assert ask(gateway.port, method, "/metrics", ("X-API-Key", gateway.key())).status == 404


@pytest.mark.parametrize("target", ["/health", "/ready"])
def test_health_and_readiness_are_open(gateway: Serving, emulators: Emulators, target: str) -> None:
    answer = ask(gateway.port, "GET", target)
    told = json.loads(answer.body)
    assert (answer.status, answer.header("content-type")) == (200, "application/json")
    assert {"status", "service", "timestamp", "stats"} <= told.keys()
    head = ask(gateway.port, "HEAD", target)
    assert (head.status, head.body) == (200, b"")
    assert emulators.connections == ()


def test_readiness_names_instances_and_nothing_more(gateway: Serving) -> None:
    text = ask(gateway.port, "GET", "/ready").body.decode()
    told = json.loads(text)
    assert told["status"] == "ready"
    assert told["instances"]["bedrock_eu1"] == {
        "status": "ready",
        "strategy": "environment",
        "expires_in": None,
        "degraded": False,
        "strategies": {"environment": "active", "workload_identity (aws)": "standby", "aws_profile": "standby"},
    }
    assert not any(word in text for word in ("amazonaws", "api.openai.com", "AKIA", "ASIA", gateway.key()))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_only_to_be_read(gateway: Serving, path: str, method: str) -> None:
    assert ask(gateway.port, method, path).status == 401


@pytest.mark.parametrize(
    "target",
    ["/health/", "/Health", "//health", "/health/x", "/healthz", "/ready/", "/%68ealth", "/health;a", "/x/../health"],
)
def test_only_by_their_exact_path(gateway: Serving, target: str) -> None:
    """Each other spelling is a path like any other, for which nobody without a key gets more than a refusal."""
    assert ask(gateway.port, "GET", target).status in (400, 401)


def test_a_providers_health_is_the_providers(gateway: Serving, emulators: Emulators) -> None:
    """Inside a tunnel and behind /transparent/ these paths belong to the provider."""
    with tunnel(gateway.port, "api.openai.com", gateway.key(), gateway.ca_file) as wire:
        for path in ("/health", "/ready", "/metrics"):
            assert wire.request("GET", path, [("Host", "api.openai.com")]).status == 404
    ask(gateway.port, "GET", "/transparent/anthropic/health", ("X-API-Key", gateway.key()))
    assert [seen.target for seen in emulators.requests()] == [b"/health", b"/ready", b"/metrics", b"/health"]


def test_defect_18_a_provider_that_fails_changes_no_health(gateway: Serving, emulators: Emulators) -> None:
    """2.9 row 18: neither a failing provider nor an instance without a credential takes the others from the clients."""
    emulators.behave("api.openai.com", Behaviour(status=503), times=None)
    for _ in range(5):
        refused = ask(gateway.port, "GET", "/transparent/openai/v1/models", ("X-API-Key", gateway.key()))
        assert refused.status == 503
    assert [ask(gateway.port, "GET", path).status for path in ("/health", "/ready")] == [200, 200]


def fetched(url: str, method: str = "GET") -> tuple[int, str]:
    request = urllib.request.Request(url, method=method)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


@pytest.fixture
def metrics_url(busy: Serving) -> str:
    port = json.loads(busy.config.read_text())["metrics"]["port"]
    return f"http://127.0.0.1:{port}"


def test_a_port_of_their_own_needs_no_key(busy: Serving, metrics_url: str) -> None:
    until(busy, "bedrock_proxy_requests_total", 2, instance="openai", status="200")
    status, text = fetched(f"{metrics_url}/metrics")
    assert status == 200
    assert value(text, "bedrock_proxy_requests_total", instance="openai", status="200") == 2


@pytest.mark.parametrize("path", ["/", "/health", "/ready", "/metrics/x", "/transparent/openai/v1/models"])
def test_that_port_serves_nothing_else(metrics_url: str, path: str) -> None:
    assert fetched(f"{metrics_url}{path}")[0] == 404


def test_what_that_port_shows_is_up_to_date(serve: Callable[..., Serving]) -> None:
    """Nobody has asked the main port, and the gauges have their values all the same."""
    port = free_port()
    serve(metrics={"port": port})
    status, text = fetched(f"http://127.0.0.1:{port}/metrics")
    assert status == 200
    assert value(text, "health_check_status", check="ready") == 1
    assert value(text, "credential_strategy_active", instance="openai") == 1
