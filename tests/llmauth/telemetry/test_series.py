"""The series: what is looked up once counts under its labels, and nothing but a success has a first token."""

from typing import get_args

import pytest

from llmauth.chat.messages import Usage
from llmauth.errors import Cause, GatewayError, UpstreamError
from llmauth.telemetry.series import DIRECTIONS, WAYS, Series, TargetKey, codes

TARGET = {"instance": "one", "provider": "openai", "region": "none", "mode": "m", "protocol": "p", "model": "other"}


def key(status: int) -> TargetKey:
    return ("one", "openai", "", "m", "p", "other", status)


def test_a_series_counts_under_its_labels():
    series = Series()
    found = series.target(key(200))
    found.count()
    found.count()
    found.seconds(0.3)
    assert series.registry.get_sample_value("bedrock_proxy_requests_total", {**TARGET, "status": "200"}) == 2
    assert series.registry.get_sample_value("bedrock_proxy_request_duration_seconds_sum", TARGET) == 0.3


@pytest.mark.parametrize(("status", "succeeded"), [(200, True), (302, True), (400, False), (503, False), (0, False)])
def test_only_what_succeeded_has_a_first_token_and_is_no_error(status, succeeded):
    series = Series()
    assert (series.target(key(status)).first_token is not None) is succeeded
    assert (series.http("GET", status).count_error is None) is succeeded


def test_no_status_is_three_zeros():
    series = Series()
    series.http("GET", 0).count()
    assert series.registry.get_sample_value("http_requests_total", {"method": "GET", "status": "000"}) == 1


def test_every_refusal_has_a_code():
    assert {error.code for error in GatewayError.__subclasses__()} <= codes()
    assert {"model_not_allowed", "insufficient_quota"} <= codes()
    assert {UpstreamError("no", cause=cause).code for cause in get_args(Cause)} <= codes()


def test_tokens_are_counted_by_direction_and_cache_and_in_two():
    series = Series()
    usage = Usage(input=5, cache_read=3, cache_write=2, output=7, reasoning=4)
    for status in (200, 206):
        series.target(key(status)).tokens(usage)
        series.target(key(status)).tokens(usage)
    value = series.registry.get_sample_value
    told = {("input", "none"): 20, ("input", "read"): 12, ("input", "write"): 8, ("output", "none"): 28}
    parts = {way: value("tokens_total", {**TARGET, "direction": way[0], "cache": way[1]}) for way in WAYS}
    assert parts == told
    assert value("reasoning_tokens_total", TARGET) == 16
    place = {name: TARGET[name] for name in ("instance", "provider", "region", "mode")}
    processed = [value("bedrock_tokens_processed_total", {**place, "direction": way}) for way in DIRECTIONS]
    assert processed == [40, 28]


def test_nothing_is_said_of_tokens_before_an_answer_told():
    series = Series()
    series.target(key(200)).count()
    told = [metric for metric in series.registry.collect() if metric.name in ("tokens", "bedrock_tokens_processed")]
    assert len(told) == 2
    assert not [metric.name for metric in told if metric.samples]
