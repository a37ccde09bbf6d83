"""Metrics of several processes as those of one: what is added, what is not, and that a scraper sees no difference."""

from __future__ import annotations

import json

from prometheus_client.parser import text_string_to_metric_families

from llmauth.chat.messages import Usage
from llmauth.telemetry import sums
from llmauth.telemetry.metrics import Metrics, Observation
from llmauth.telemetry.sums import Snapshot


def counted(*, requests: int = 1, seconds: float = 0.02, status: int = 200, ready: bool = True) -> Metrics:
    metrics = Metrics(models=["fast"])
    for _ in range(requests):
        metrics.observe(
            Observation(
                method="POST",
                status=status,
                seconds=seconds,
                instance="openai",
                provider="openai",
                mode="protocol",
                model="fast",
                usage=Usage(input=3, output=4),
            )
        )
    metrics.client_connected()
    metrics.health("ready", ready)
    return metrics


def told(taken: Snapshot) -> dict[str, float]:
    families = text_string_to_metric_families(sums.render(taken).decode())
    samples = [sample for family in families for sample in family.samples]
    return {one.name + str(sorted(one.labels.values())): one.value for one in samples}


def test_one_process_alone_is_shown_as_it_shows_itself() -> None:
    metrics = counted(requests=3)
    both = (sums.render(sums.added([metrics.snapshot()])), metrics.render()[0])
    of_all, of_one = ([line for line in text.splitlines() if not line.startswith(b"process_")] for text in both)
    assert of_all == of_one


def test_a_snapshot_is_plain_json() -> None:
    taken = counted().snapshot()
    assert sums.added([json.loads(json.dumps(taken))]) == sums.added([taken])


def test_counters_and_histograms_are_added_bucket_by_bucket() -> None:
    both = told(sums.added([counted(requests=2).snapshot(), counted(requests=3, seconds=7.0, status=503).snapshot()]))
    assert both["http_requests_total['200', 'POST']"] == 2
    assert both["http_requests_total['503', 'POST']"] == 3
    assert both["http_request_duration_seconds_bucket['0.025', 'POST']"] == 2
    assert both["http_request_duration_seconds_bucket['10.0', 'POST']"] == 5
    assert both["http_request_duration_seconds_bucket['+Inf', 'POST']"] == 5
    assert both["http_request_duration_seconds_sum['POST']"] == 2 * 0.02 + 3 * 7.0
    assert sum(value for name, value in both.items() if name.startswith("tokens_total") and "'input'" in name) == 15


def test_each_gauge_as_it_is_meant() -> None:
    one, other = counted(ready=True), counted(ready=False)
    one.credential("openai", "environment", 0.0)
    other.credential("openai", "vault", None)
    one.tunnel_opened()
    both = told(sums.added([one.snapshot(), other.snapshot()]))
    assert both["connected_clients[]"] == 2
    assert both["open_tunnels[]"] == 1
    assert both["health_check_status['ready']"] == 0
    assert both["credential_strategy_active['environment', 'openai']"] == 1
    assert both["credential_strategy_active['openai', 'vault']"] == 1


def test_what_ends_first_is_what_is_told() -> None:
    name = "credential_expiry_seconds"

    def until(seconds: float) -> Snapshot:
        return [[name, "gauge", "…", [[name, [["instance", "a"]], seconds]]]]

    assert told(sums.added([until(90.0), until(30.0), until(60.0)])) == {"credential_expiry_seconds['a']": 30.0}


def test_of_a_process_that_has_ended_sums_stay_and_states_do_not() -> None:
    kinds = {kind for _, kind, _, _ in sums.lasting(counted().snapshot())}
    assert kinds == {"counter", "histogram"}


def test_for_every_gauge_it_was_decided_how_two_make_one() -> None:
    gauges = {one.name for one in Metrics().described() if one.kind == "gauge"}
    assert gauges - sums.HOW.keys() == {"llmauth_build_info"}
    assert sums.HOW.keys() <= gauges
