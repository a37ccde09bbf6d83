"""Streams that fail, are cut or are left: the client is told in its own protocol, and never that all is well."""

from __future__ import annotations

import json
import socket
import time

import pytest

from llmauth.demo.behaviour import Behaviour, Cut
from llmauth.demo.emulators import Emulators
from tests.e2e.protocol.calls import HELLO, Told, ask, chat, message
from tests.e2e.protocol.providers import PROVIDERS, Provider
from tests.fixtures.serving import Serving

TRANSLATED = {
    name: PROVIDERS[name]
    for name in (
        "anthropic",
        "nova on bedrock",
        "gemini on vertex",
        "watsonx",
        "llama on oracle",
        "command r on oracle",
    )
}
FAILING = {
    "an error in the stream": Behaviour(fail_after=3),
    "a cut in the middle": Behaviour(cut_after=600, cut=Cut.FIN),
    "a reset in the middle": Behaviour(cut_after=600, cut=Cut.RST),
    "a polite end in the middle": Behaviour(cut_after=600, cut=Cut.CLOSE),
}
PROTOCOLS = ("chat", "responses", "messages")


def streamed(gateway: Serving, protocol: str, provider: Provider) -> Told:
    if protocol == "messages":
        body = message(provider.model, stream=True)
        return ask(gateway, f"/anthropic/{provider.instance}/v1/messages", body, anthropic_version="2023-06-01")
    if protocol == "responses":
        body = {"model": provider.model, "input": "hello", "stream": True}
        return ask(gateway, f"/openai/{provider.instance}/responses", body)
    return ask(gateway, f"/openai/{provider.instance}/chat/completions", chat(provider.model, stream=True))


def failed(protocol: str, told: Told) -> bool:
    """Whether the last thing that was said is the protocol's own error, and nothing says that all is complete."""
    last = told.events[-1]
    if protocol == "messages":
        return told.names[-1] == "error" and last["type"] == "error" and "message_stop" not in told.names
    if protocol == "responses":
        return "response.failed" in told.names and "response.completed" not in told.names
    return isinstance(last, dict) and "error" in last and "[DONE]" not in told.events


@pytest.mark.parametrize("behaviour", FAILING.values(), ids=FAILING)
@pytest.mark.parametrize("provider", TRANSLATED.values(), ids=TRANSLATED)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_stream_that_fails_ends_with_its_protocols_error(
    every: Serving, emulators: Emulators, protocol: str, provider: Provider, behaviour: Behaviour
) -> None:
    if protocol == "messages" and provider.instance == "anthropic":
        pytest.skip("passes as it came")
    emulators.behave(provider.host, behaviour)
    told = streamed(every, protocol, provider)
    assert told.status == 200
    assert failed(protocol, told), told.body[-600:]
    assert told.cut, "the body ended as if it were whole"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("provider", TRANSLATED.values(), ids=TRANSLATED)
def test_a_stream_that_is_whole_ends_as_its_protocol_ends(
    every: Serving, emulators: Emulators, protocol: str, provider: Provider
) -> None:
    told = streamed(every, protocol, provider)
    assert (told.status, told.cut) == (200, False)
    assert told.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert "content-length" not in told.headers
    if protocol == "chat":
        assert told.body.endswith(b"data: [DONE]\n\n")
        assert not any("usage" in event for event in told.events[:-1] if isinstance(event, dict) and event.get("usage"))
    else:
        assert told.names[-1] == ("message_stop" if protocol == "messages" else "response.completed")
    if provider.instance != "anthropic" or protocol != "messages":
        assert told.headers["x-llmauth-served-by"] == provider.instance


def test_a_failure_before_the_first_byte_is_a_whole_refusal(every: Serving, emulators: Emulators) -> None:
    emulators.behave("bedrock-runtime.us-east-1.amazonaws.com", Behaviour(status=429))
    told = ask(every, "/openai/bedrock_us1/chat/completions", chat("nova", stream=True))
    assert (told.status, told.json["error"]["type"]) == (429, "rate_limit_error")
    assert told.headers["content-type"] == "application/json"


def test_a_stream_that_is_none_is_a_bad_gateway(every: Serving, emulators: Emulators) -> None:
    emulators.behave("api.anthropic.com", Behaviour(body=b"<html>"))
    told = ask(every, "/openai/anthropic/chat/completions", chat("claude-sonnet-4-5", stream=True))
    assert told.status in (200, 502)
    assert told.status == 502 or failed("chat", told)


def test_claude_on_bedrock_is_unwrapped_for_its_own_protocol(every: Serving, emulators: Emulators) -> None:
    provider = PROVIDERS["claude on bedrock"]
    told = streamed(every, "messages", provider)
    assert told.names[0] == "message_start"
    assert told.names[-1] == "message_stop"
    assert b"amazon-bedrock" not in told.body
    assert told.headers["content-type"].startswith("text/event-stream")
    emulators.behave(provider.host, Behaviour(cut_after=900))
    told = streamed(every, "messages", provider)
    assert told.names[-1] == "error"
    assert told.cut


@pytest.mark.parametrize("provider", ["nova on bedrock", "anthropic"])
def test_who_leaves_stops_the_provider(every: Serving, emulators: Emulators, provider: str) -> None:
    one = PROVIDERS[provider]
    emulators.behave(one.host, Behaviour(chunk_delay=0.05, tokens=400))
    body = json.dumps({"model": one.model, "messages": HELLO, "stream": True}).encode()
    head = (
        f"POST /openai/{one.instance}/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {every.key()}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", every.port), timeout=10) as client:
        client.sendall(head.encode() + body)
        assert b"200 OK" in client.recv(65536)
        client.recv(65536)
    left = time.monotonic()
    (seen,) = emulators.wait(lambda requests: requests[0].client_gone)
    assert seen.client_gone_at is not None
    assert seen.client_gone_at - left < 2


def test_events_come_as_they_are_made(every: Serving, emulators: Emulators) -> None:
    """The first event is there long before the last one was made."""
    one = PROVIDERS["nova on bedrock"]
    emulators.behave(one.host, Behaviour(chunk_delay=0.1, tokens=10))
    body = json.dumps({"model": one.model, "messages": HELLO, "stream": True}).encode()
    head = (
        f"POST /openai/{one.instance}/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {every.key()}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    moments = []
    with socket.create_connection(("127.0.0.1", every.port), timeout=10) as client:
        client.sendall(head.encode() + body)
        while client.recv(65536):
            moments.append(time.monotonic())
    assert len(moments) >= 8
    assert moments[-1] - moments[1] > 0.5
