"""The measures of generative AI: recorded for what asks a model, with attributes from closed sets."""

import pytest

from llmauth.chat.messages import Usage
from llmauth.errors import BadRequest, UpstreamError
from llmauth.telemetry.otlp.measures import Measures, error_type
from tests.fixtures.outcomes import ARRIVED, outcome, request, routed


def known(model):
    return model if model == "gpt-5" else "other"


def told(*outcomes):
    measures = Measures(known)
    for one in outcomes:
        measures.record(one)
    return {metric["name"]: metric for metric in measures.told()}


def attributes_of(point):
    return {one["key"]: one["value"]["stringValue"] for one in point["attributes"]}


BASE = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-5",
    "llmauth.instance": "one",
}


def test_a_chat_is_four_measures():
    metrics = told(outcome(usage=Usage(input=5, cache_read=3, output=70)))
    assert set(metrics) == {
        "gen_ai.client.token.usage",
        "gen_ai.client.operation.duration",
        "gen_ai.server.request.duration",
        "gen_ai.server.time_to_first_token",
    }
    sums = {name: [point["sum"] for point in one["histogram"]["dataPoints"]] for name, one in metrics.items()}
    assert sums["gen_ai.client.token.usage"] == [8, 70]
    assert sums["gen_ai.client.operation.duration"] == [2.0]
    assert sums["gen_ai.server.request.duration"] == [1.5]
    assert sums["gen_ai.server.time_to_first_token"] == [0.25]
    (duration,) = metrics["gen_ai.client.operation.duration"]["histogram"]["dataPoints"]
    assert attributes_of(duration) == BASE
    kinds = [attributes_of(point) for point in metrics["gen_ai.client.token.usage"]["histogram"]["dataPoints"]]
    assert kinds == [{**BASE, "gen_ai.token.type": "input"}, {**BASE, "gen_ai.token.type": "output"}]
    assert [metric["unit"] for metric in metrics.values()] == ["{token}", "s", "s", "s"]


def test_the_body_is_the_first_token_where_it_came_apart():
    metrics = told(outcome(first_data_at=100.75))
    assert metrics["gen_ai.server.time_to_first_token"]["histogram"]["dataPoints"][0]["sum"] == 0.75


def test_what_failed_says_why_and_has_no_first_token():
    metrics = told(outcome(status=500, error=BadRequest("no")))
    (point,) = metrics["gen_ai.client.operation.duration"]["histogram"]["dataPoints"]
    assert attributes_of(point)["error.type"] == "bad_request"
    assert "gen_ai.server.time_to_first_token" not in metrics


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, None),
        ({"status": 429}, "429"),
        ({"cut": True}, "cut"),
        ({"error": UpstreamError("m", code="whatever they say")}, "_OTHER"),
    ],
)
def test_the_words_of_an_error_are_few(changes, why):
    assert error_type(outcome(**changes)) == why


def test_what_asks_no_model_is_not_measured():
    assert told(outcome(ARRIVED), outcome(request=request(method="GET")), outcome(routed("/v1/files"))) == {}


def test_whatever_clients_name_makes_no_more_series():
    measures = Measures(known)
    for number in range(500):
        measures.record(outcome(routed(model=f"m{number}"), usage=Usage(input=1)))
    points = [metric["histogram"]["dataPoints"] for metric in measures.told()]
    assert [len(each) for each in points] == [2, 1, 1, 1]
