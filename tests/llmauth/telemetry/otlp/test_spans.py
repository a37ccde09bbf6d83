"""A span a request: its name, its parent, and nothing of what the client wrote."""

import json
from typing import Any

import pytest

from llmauth.chat.messages import Usage
from llmauth.errors import CredentialRejected
from llmauth.http import Door
from llmauth.telemetry.otlp import spans
from tests.fixtures.outcomes import ARRIVED, outcome, request, routed

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def span_of(*told: Any, **more: Any) -> dict[str, Any]:
    found = spans.span_of(*told, **more)
    assert found is not None
    return found


def facts(span: Any) -> dict[str, Any]:
    return {one["key"]: next(iter(one["value"].values())) for one in span["attributes"]}


def test_a_chat_is_a_span():
    span = span_of(outcome(usage=Usage(input=5, cache_read=3, cache_write=1, output=7)))
    assert (span["name"], span["kind"], span["status"]) == ("chat gpt-5", 2, {})
    assert (span["startTimeUnixNano"], span["endTimeUnixNano"]) == ("1700000000000000000", "1700000002000000000")
    assert len(bytes.fromhex(span["traceId"])) == 16
    assert len(bytes.fromhex(span["spanId"])) == 8
    assert "parentSpanId" not in span
    assert facts(span) == {
        "http.request.method": "POST",
        "http.response.status_code": "200",
        "llmauth.request_id": "req_1",
        "llmauth.door": "tunnel",
        "llmauth.stage": "Credentialed",
        "llmauth.instance": "one",
        "gen_ai.provider.name": "openai",
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "gpt-5",
        "llmauth.strategy": "environment",
        "gen_ai.usage.input_tokens": "9",
        "gen_ai.usage.output_tokens": "7",
        "gen_ai.usage.cache_read.input_tokens": "3",
        "gen_ai.usage.cache_creation.input_tokens": "1",
        "llmauth.overhead_ms": 1.0,
        "llmauth.upstream_ms": 1500.0,
        "llmauth.first_token_ms": 250.0,
    }


def test_a_refusal_says_whose_fault_it_was():
    span = span_of(outcome(status=502, error=CredentialRejected("no")))
    assert span["status"] == {"code": 2}
    told = facts(span)
    assert (told["error.type"], told["llmauth.fault"]) == ("credential_rejected", "proxy")


def test_one_that_reached_no_instance_goes_by_its_method():
    assert span_of(outcome(ARRIVED, status=401))["name"] == "POST"


def test_the_clients_trace_is_continued():
    span = span_of(outcome(request=request(("traceparent", f"00-{TRACE}-{SPAN}-01"))))
    assert (span["traceId"], span["parentSpanId"]) == (TRACE, SPAN)


def test_a_trace_that_the_client_does_not_record_is_not_recorded():
    assert spans.span_of(outcome(request=request(("traceparent", f"00-{TRACE}-{SPAN}-00")))) is None


@pytest.mark.parametrize(
    "value",
    [
        "",
        "evil",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
    ],
)
def test_what_is_no_trace_begins_one_of_our_own(value):
    span = span_of(outcome(request=request(("traceparent", value))))
    assert span["traceId"] != TRACE
    assert "parentSpanId" not in span


def test_two_traces_are_none():
    twice = ("traceparent", f"00-{TRACE}-{SPAN}-01")
    assert span_of(outcome(request=request(twice, twice)))["traceId"] != TRACE


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics"])
def test_probes_are_no_spans(path):
    assert spans.span_of(outcome(ARRIVED, request=request(path=path, method="GET", door=Door.GATEWAY))) is None


@pytest.mark.parametrize("model", ["tell me a story", "llmauth_0123456789_" + "a" * 38, "x" * 200, "a\nb", "\x1b[31m"])
def test_a_model_that_is_no_name_is_not_told(model):
    span = span_of(outcome(routed(model=model)))
    assert span["name"] == "chat"
    assert "gen_ai.request.model" not in facts(span)


def test_nothing_that_the_client_wrote_is_in_it():
    asked = request(("Authorization", "canary-key"), path="/v1/x?key=canary-query", body=b"canary-prompt")
    span = span_of(outcome(request=asked, provider_request_id="canary id with blanks"))
    assert "canary" not in json.dumps(span)
