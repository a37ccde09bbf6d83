"""Tokens of passing answers, as the provider counted them: in log and metrics, and no byte changed for it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from llmauth.demo.words import estimate
from tests.fixtures.raw import Wire
from tests.fixtures.serving import Serving

SAID = 12  # tokens of the shared emulators
USER = [{"role": "user", "content": "hello"}]
CHAT: dict[str, Any] = {"model": "gpt-4o", "messages": USER}
MESSAGE: dict[str, Any] = {"model": "claude-sonnet-5", "max_tokens": 1024, "messages": USER, "stream": True}
CONVERSE: dict[str, Any] = {"messages": [{"role": "user", "content": [{"text": "hello"}]}]}
CLAUDE: dict[str, Any] = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 1024, "messages": USER}
TOLD = {"stream": True, "stream_options": {"include_usage": True}}
SONNET = "/model/anthropic.claude-3-sonnet-20240229-v1%3A0"
OPENAI, BEDROCK = "/transparent/openai/v1", f"/transparent/bedrock_us1{SONNET}"

ANSWERS = {
    "whole": (f"{OPENAI}/chat/completions", CHAT),
    "stream": (f"{OPENAI}/chat/completions", {**CHAT, **TOLD}),
    "responses": (f"{OPENAI}/responses", {"model": "gpt-4o", "input": "hello", "stream": True}),
    "messages": ("/transparent/anthropic/v1/messages", MESSAGE),
    "converse": (f"{BEDROCK}/converse", CONVERSE),
    "converse stream": (f"{BEDROCK}/converse-stream", CONVERSE),
    "invoke stream": (f"{BEDROCK}/invoke-with-response-stream", CLAUDE),
}


def fields(gateway: Serving, name: str) -> list[tuple[str, str]]:
    return [
        ("Host", "gateway"),
        ("X-API-Key", gateway.key()),
        ("X-Request-Id", name),
        ("Content-Type", "application/json"),
        ("anthropic-version", "2023-06-01"),
    ]


def ask(gateway: Serving, name: str, path: str, value: dict[str, Any]) -> tuple[bytes, bytes]:
    """What was asked and answered, under this request id."""
    body = json.dumps(value).encode()
    with Wire(gateway.port) as wire:
        answer = wire.request("POST", path, fields(gateway, name), body)
    assert answer.status == 200
    return body, answer.body


def line(gateway: Serving, name: str) -> dict[str, Any]:
    """The access log's line of a request, once it is written."""
    for _ in range(100):
        found = [line for line in gateway.lines("request") if line["request_id"] == name]
        if found:
            return found[0]
        time.sleep(0.02)
    raise AssertionError(f"no line of {name}")


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("name", ANSWERS)
def test_what_was_counted_is_logged_and_no_byte_is_changed(
    gateway: Serving, emulators: Emulators, name: str, compressed: bool
) -> None:
    path, value = ANSWERS[name]
    if compressed:
        for host in emulators.hosts:
            emulators.behave(host, Behaviour(gzip=True))
    request = f"{name.replace(' ', '-')}-{compressed}"
    asked, answered = ask(gateway, request, path, value)
    (seen,) = emulators.requests()
    assert answered == seen.sent_body
    told = line(gateway, request)
    assert (told["input_tokens"], told["output_tokens"]) == (estimate(asked), SAID)
    assert "unmetered" not in told


def test_a_client_that_leaves_half_way_is_charged_what_was_told(gateway: Serving, emulators: Emulators) -> None:
    emulators.behave("api.anthropic.com", Behaviour(tokens=500, chunk_delay=0.01))
    body = json.dumps({**MESSAGE, "max_tokens": 2048}).encode()
    with Wire(gateway.port) as wire:
        head = "".join(f"{name}: {value}\r\n" for name, value in fields(gateway, "left"))
        wire.send(
            f"POST /transparent/anthropic/v1/messages HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        seen = b""
        while b"content_block_delta" not in seen:
            seen += wire.read()
    told = line(gateway, "left")
    # The first event tells of the prompt, and of one token.
    assert (told["input_tokens"], told["output_tokens"], told["unmetered"]) == (estimate(body), 1, "cut")


def test_a_provider_that_breaks_off_has_told_what_it_had_told(gateway: Serving, emulators: Emulators) -> None:
    for host, name in (("api.openai.com", "stream"), ("api.anthropic.com", "messages")):
        path, value = ANSWERS[name]
        emulators.behave(host, Behaviour(fail_after=5))
        asked, _ = ask(gateway, f"failed-{name}", path, value)
        told = line(gateway, f"failed-{name}")
        assert told.get("input_tokens") == (estimate(asked) if name == "messages" else None)
        assert told["unmetered"] == ("cut" if name == "messages" else "not_told")


@pytest.mark.parametrize(
    ("name", "path", "value", "behaviour", "reason"),
    [
        ("unasked", f"{OPENAI}/chat/completions", {**CHAT, "stream": True}, Behaviour(), "not_told"),
        (
            "compress",
            f"{OPENAI}/chat/completions",
            CHAT,
            Behaviour(body=b"\x1f\x9d\x90", fields=((b"content-encoding", b"compress"),)),
            "encoding",
        ),
        ("unknown", f"{OPENAI}/echo/anything", CHAT, Behaviour(), "unknown_operation"),
    ],
)
def test_what_is_not_metered_says_why(
    gateway: Serving, emulators: Emulators, name: str, path: str, value: Any, behaviour: Behaviour, reason: str
) -> None:
    emulators.behave("api.openai.com", behaviour)
    ask(gateway, name, path, value)
    told = line(gateway, name)
    assert told["unmetered"] == reason
    assert "input_tokens" not in told


def test_what_cost_nothing_is_not_mentioned(gateway: Serving, emulators: Emulators) -> None:
    with Wire(gateway.port) as wire:
        answer = wire.request("GET", f"{OPENAI}/models", fields(gateway, "models")[:3])
    assert answer.status == 200
    with Wire(gateway.port) as wire:
        answer = wire.request("POST", f"{OPENAI}/chat/completions", fields(gateway, "refused"), b"{}")
    assert answer.status == 400
    for name in ("models", "refused"):
        assert not {"unmetered", "input_tokens"} & line(gateway, name).keys()


def test_tokens_are_counted_by_instance(serve: Callable[..., Serving], emulators: Emulators) -> None:
    gateway = serve()
    asked, _ = ask(gateway, "one", f"{OPENAI}/chat/completions", CHAT)
    ask(gateway, "two", f"{OPENAI}/chat/completions", {**CHAT, "stream": True})
    line(gateway, "two")
    with Wire(gateway.port) as wire:
        text = wire.request("GET", "/metrics", fields(gateway, "metrics")[:3]).body.decode()
    target = {"instance": "openai", "provider": "openai", "region": "none", "mode": "transparent"}
    more = {"protocol": "native", "model": "other"}
    found = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def value(name: str, **labels: str) -> list[float]:
        return [sample.value for sample in found if sample.name == name and sample.labels == labels]

    prompt = estimate(asked)
    told = {("input", "none"): prompt, ("input", "read"): 0, ("input", "write"): 0, ("output", "none"): SAID}
    for (way, cache), number in told.items():
        assert value("tokens_total", **target, **more, direction=way, cache=cache) == [number]
    assert value("reasoning_tokens_total", **target, **more) == [0]
    processed = [value("bedrock_tokens_processed_total", **target, direction=way) for way in ("input", "output")]
    assert processed == [[prompt], [SAID]]
    assert value("unmetered_usage_total", instance="openai", reason="not_told") == [1]
