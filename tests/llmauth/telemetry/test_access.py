"""R1, R3: the access line tells how far a request came and how it ended, and nothing that the client wrote into it."""

import json
import logging
import time
from typing import Any

import pytest

from llmauth.addresses import HostPort
from llmauth.chat.messages import Usage
from llmauth.context import (
    Authenticated,
    Credentialed,
    Decision,
    Identity,
    ProtocolRoute,
    RequestContext,
    Routed,
    Target,
    TransparentRoute,
    advance,
)
from llmauth.errors import BadRequest, CredentialRejected, HostNotServed, NotFound, UpstreamError
from llmauth.http import Door, Headers, Request, Url
from llmauth.telemetry import access
from llmauth.telemetry.access import Outcome, clocked, decisions, line, observation, told, write
from llmauth.telemetry.metrics import Metrics

CANARY = "canary"
CHOSEN = Decision(
    router="mode", input="tunnel h:443", outcome="transparent: openai", reason="owns the host", took=0.002
)
ARRIVED = RequestContext(request_id="req_1", received_at=1.0, started=100.0)
KNOWN = advance(ARRIVED, Authenticated, identity=Identity(user="alice", method="api_key", key_id="k1"))
ROUTED = advance(
    KNOWN,
    Routed,
    CHOSEN,
    route=TransparentRoute(instance="openai", path=f"/v1?{CANARY}", native=True),
    target=Target(instance="openai", provider="openai", model="gpt-5"),
)
SIGNED = advance(ROUTED, Credentialed, strategy="environment", expires_at=None)


def request(door=Door.TUNNEL, method="POST") -> Request:
    return Request(
        method=method,
        url=Url("https", "api.openai.com", 443, f"/v1/models?{CANARY}"),
        headers=Headers([(b"Authorization", CANARY.encode())]),
        door=door,
        body=CANARY.encode(),
        tunnel=HostPort("api.openai.com", 443),
        source="192.0.2.1",
    )


def outcome(context=SIGNED, **more) -> Outcome:
    facts: dict[str, Any] = {
        "status": 200,
        "finished": 100.5,
        "overhead": None,
        "dial": None,
        "first_byte_at": None,
        "error": None,
    }
    facts |= {"request": request(), "decisions": context.decisions, "cut": False, "provider_request_id": None}
    return Outcome(context=context, **(facts | more))


def test_a_line_of_a_whole_exchange():
    told = line(outcome(overhead=0.0015, dial=0.03, first_byte_at=100.25, provider_request_id="req_theirs"))
    assert told == {
        "request_id": "req_1",
        "door": "tunnel",
        "method": "POST",
        "status": 200,
        "ms": 500.0,
        "stage": "Credentialed",
        "source": "192.0.2.1",
        "user": "alice",
        "key_id": "k1",
        "instance": "openai",
        "provider": "openai",
        "strategy": "environment",
        "overhead_ms": 1.5,
        "dial_ms": 30.0,
        "first_byte_ms": 250.0,
        "provider_request_id": "req_theirs",
    }


@pytest.mark.parametrize(
    ("context", "known"),
    [
        (ARRIVED, set()),
        (KNOWN, {"user", "key_id"}),
        (ROUTED, {"user", "key_id", "instance", "provider"}),
        (SIGNED, {"user", "key_id", "instance", "provider", "strategy"}),
    ],
)
def test_a_line_tells_what_was_known_and_how_far_it_came(context, known):
    told = line(outcome(context))
    assert told["stage"] == type(context).__name__
    assert told.keys() & {"user", "key_id", "instance", "provider", "strategy"} == known


def test_a_refusal_is_told_with_its_detail_and_else_its_sentence():
    told = line(outcome(ARRIVED, error=HostNotServed("No such host.", detail="evil.example"), status=403, cut=True))
    assert (told["code"], told["fault"], told["detail"]) == ("host_not_allowed", "policy", "evil.example")
    assert "cut" not in told
    assert line(outcome(error=CredentialRejected("It is not your key.")))["detail"] == "It is not your key."


def test_a_cut_answer_is_told():
    assert line(outcome(cut=True))["cut"] is True
    assert "cut" not in line(outcome())


def test_a_websocket_tells_what_it_carried():
    told = line(outcome(status=101, carried=(12, 3400)))
    assert (told["status"], told["bytes_in"], told["bytes_out"]) == (101, 12, 3400)
    assert observation(outcome(carried=(12, 3400))).carried == (12, 3400)
    assert "bytes_in" not in line(outcome())


def test_a_connect_tells_its_target_and_nothing_else_does():
    assert line(outcome(request=request(Door.CONNECT, "CONNECT")))["target"] == "api.openai.com:443"
    assert "target" not in line(outcome())


@pytest.mark.parametrize("door", Door)
def test_no_path_query_header_or_body_is_told(door):
    of = outcome(request=request(door))
    assert CANARY not in json.dumps([line(of), list(decisions(of))]) + repr(observation(of))


def test_the_limit_that_ended_it_is_told():
    assert line(outcome(cut=True, limit="answer_silence"))["limit"] == "answer_silence"
    assert "limit" not in line(outcome())


def test_a_method_of_any_length_is_cut():
    assert line(outcome(ARRIVED, request=request(method="X" * 5000)))["method"] == "X" * 20


def test_what_is_counted():
    seen = observation(outcome(first_byte_at=100.25, overhead=0.001, cut=True))
    assert (seen.instance, seen.provider, seen.region, seen.mode, seen.protocol) == (
        *("openai", "openai", ""),
        *("transparent", "native"),
    )
    assert (seen.seconds, seen.first_byte, seen.overhead, seen.aborted, seen.error) == (0.5, 0.25, 0.001, True, None)
    unrouted = observation(outcome(KNOWN, error=HostNotServed("No."), status=403))
    assert (unrouted.instance, unrouted.mode, unrouted.status, unrouted.error) == ("", "", 403, "host_not_allowed")


def test_protocol_mode_is_told_apart():
    spoken = ProtocolRoute(protocol="anthropic", operation="messages", path=f"/v1/messages?{CANARY}")
    context = advance(KNOWN, Routed, CHOSEN, route=spoken, target=ROUTED.target)
    seen = observation(outcome(context))
    assert (seen.instance, seen.mode, seen.protocol, seen.model) == ("openai", "protocol", "anthropic", "gpt-5")
    facts = line(outcome(context))
    assert (facts["protocol"], facts["operation"], facts["model"]) == ("anthropic", "messages", "gpt-5")
    assert CANARY not in str(facts)


def test_decisions_in_their_order():
    again = Decision(router="model", input="gpt-5", outcome="openai", reason="as asked")
    told = list(decisions(outcome(decisions=(CHOSEN, again))))
    assert [each["router"] for each in told] == ["mode", "model"]
    assert told[0] == {
        "request_id": "req_1",
        "router": "mode",
        "input": "tunnel h:443",
        "outcome": "transparent: openai",
        "reason": "owns the host",
        "ms": 2.0,
    }


@pytest.mark.parametrize(
    ("level", "messages"),
    [(logging.DEBUG, ["decision", "request", "request"]), (logging.INFO, ["request", "request"]), (logging.ERROR, [])],
)
def test_everything_is_counted_whatever_is_logged(caplog, level, messages):
    caplog.set_level(level, "llmauth.access")
    caplog.set_level(level, "llmauth.decisions")
    metrics = Metrics()
    write([outcome(), outcome(ARRIVED, status=401, decisions=())], metrics)
    told = [(record.message, facts) for record in caplog.records for facts in record.batch]
    assert [message for message, _ in told] == messages
    assert all(facts["request_id"] == "req_1" for _, facts in told)
    text = metrics.render()[0].decode()
    assert 'http_requests_total{method="POST",status="200"} 1.0' in text
    assert 'http_requests_total{method="POST",status="401"} 1.0' in text


def test_a_decision_tells_its_time_at_every_level(caplog):
    caplog.set_level(logging.INFO, "llmauth.decisions")
    since = time.perf_counter() - 1
    assert 1 <= clocked(CHOSEN, since).took < 2
    assert access.clocked(CHOSEN, since).outcome == CHOSEN.outcome


def test_tokens_are_fields_of_the_line_and_go_to_the_metrics():
    usage = Usage(input=5, output=7, reasoning=2)
    ended = outcome(usage=usage, unmetered="cut")
    told = line(ended)
    assert {name: told[name] for name in told if "token" in name} == {
        "input_tokens": 5,
        "output_tokens": 7,
        "reasoning_tokens": 2,
    }
    assert told["unmetered"] == "cut"
    assert (observation(ended).usage, observation(ended).unmetered) == (usage, "cut")
    cached = line(outcome(usage=Usage(cache_read=3, cache_write=4)))
    assert [cached[name] for name in ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")] == [
        0,
        0,
        3,
        4,
    ]
    assert not [name for name in line(outcome()) if "token" in name or name == "unmetered"]


def test_what_others_wrote_into_a_refusal_is_not_logged():
    """R: a provider's sentence may repeat the prompt, a refusal of ours what a client put in the wrong place."""
    quoting = line(outcome(error=UpstreamError(f"'{CANARY}' is too long", cause="invalid_request")))
    assert quoting["detail"] == "the provider refused: invalid_request"
    assert line(outcome(error=UpstreamError(CANARY, detail="ValidationException")))["detail"] == "ValidationException"
    key = f"llmauth_0123456789_{CANARY}"
    assert CANARY not in str(line(outcome(error=BadRequest(f"No call has the id '{key}'."))))
    assert line(outcome(error=BadRequest("No call has the id 'x'.")))["detail"] == "No call has the id 'x'."


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abcdefghij0123456789",
        "sk-ant-api03-abcdefghijklmnop",
        "AIzaSyA0123456789abcdef",
        "eyJhbGciOiJI.eyJzdWIi.x",
    ],
)
def test_r1_a_key_of_a_provider_in_a_path_is_not_logged(secret):
    error = NotFound(f"Nothing is served at '/v1/{secret}'.")
    assert secret not in told(error)
    assert told(error).startswith("Nothing is served at '/v1/")
