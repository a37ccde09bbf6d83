"""Tokens in protocol mode, as the provider counted them: translated, unwrapped and passed, whole and streamed."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from llmauth.demo.words import estimate
from tests.e2e.protocol.calls import ask, chat, message
from tests.fixtures.calls import get
from tests.fixtures.serving import Serving

MODELS = ("openai/gpt-4o", "nova", "granite-4", "claude")


def line(gateway: Serving, name: str) -> dict[str, Any]:
    """The access log's line of a request by our id or the provider's, once it is written."""
    for _ in range(100):
        lines = gateway.lines("request")
        found = [line for line in lines if name in (line["request_id"], line.get("provider_request_id"))]
        if found:
            return found[0]
        time.sleep(0.02)
    raise AssertionError(f"no line of {name}")


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("door", ["/v1/chat/completions", "/v1/messages"])
def test_what_the_provider_counted(every: Serving, emulators: Emulators, door: str, model: str, stream: bool) -> None:
    body = chat(model) if door.endswith("completions") else message(model)
    told = ask(every, door, {**body, "stream": stream}, anthropic_version="2023-06-01")
    assert told.status == 200, told.body
    *_, seen = emulators.requests()
    log = line(every, told.headers["x-request-id"])
    asked_to_tell = b'"include_usage"' in seen.body or not (stream and seen.host == "api.openai.com")
    if asked_to_tell:
        assert (log.get("input_tokens"), log.get("unmetered")) == (estimate(seen.body), None)
        assert log["output_tokens"] > 5
    else:
        assert log["unmetered"] == "not_told"


def test_a_provider_that_counts_beyond_all_numbers_breaks_no_scrape(every: Serving, emulators: Emulators) -> None:
    answer = {"message": {"role": "assistant", "content": [{"text": "hi"}]}}
    usage = {"inputTokens": 1, "outputTokens": 10**400, "totalTokens": 10**400}
    body = json.dumps({"output": answer, "stopReason": "end_turn", "usage": usage}).encode()
    emulators.behave("bedrock-runtime.us-east-1.amazonaws.com", Behaviour(body=body))
    told = ask(every, "/v1/chat/completions", chat("nova"))
    assert told.status == 200, told.body
    assert line(every, told.headers["x-request-id"])["unmetered"] == "broken"
    scraped = get(every, "/metrics", ("X-API-Key", every.key()))
    assert scraped.status == 200
    assert b"tokens_total" in scraped.body
