"""The official JavaScript SDKs with their helpers, by base URL, against providers of other formats."""

from __future__ import annotations

from typing import Any

import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from tests.e2e.clients import ways
from tests.e2e.clients.node_clients import node
from tests.e2e.protocol.providers import PROVIDERS
from tests.e2e.protocol.test_sdk_features import PNG, SAYS
from tests.fixtures.serving import Serving

TWO_CALLS = (Behaviour(call_tool=True, calls=2), Behaviour())
BOTH = ["example", "example 2"]


def said(gateway: Serving, emulators: Emulators, script: str, name: str, *behaviours: Behaviour) -> dict[str, Any]:
    """What a script told of one provider; that key and placeholders stay here is seen to."""
    one = PROVIDERS[name]
    for behaviour in behaviours:
        emulators.behave(one.host, behaviour, times=1)
    protocol = script.partition("_")[0]
    suffix = "/v1" if protocol == "openai" else ""
    environ = {
        f"{protocol.upper()}_BASE_URL": ways.plain(gateway, f"/{protocol}/{one.instance}{suffix}"),
        f"{protocol.upper()}_API_KEY": gateway.key(),
        "MODEL": one.model,
        "MISSING": "../nobodys-model",
        "PNG": PNG,
    }
    told: dict[str, Any] = node(script, environ)
    seen = emulators.requests(one.host)
    assert seen
    assert not any(gateway.key().encode() in request.head + request.body for request in seen)
    assert any(PNG.encode() in request.body for request in seen)
    return told


@pytest.mark.parametrize(
    "name", ["claude on bedrock", "nova on bedrock", "gemini on vertex", "llama on oracle", "watsonx"]
)
def test_openai(every: Serving, emulators: Emulators, name: str) -> None:
    told = said(every, emulators, "openai_protocol.mjs", name, *TWO_CALLS, *TWO_CALLS)
    for ran in (told["tools"], told["streamedTools"]):
        assert ran["called"] == BOTH
        assert ran["text"].startswith(SAYS)
        assert ran["roles"] == ["user", "assistant", "tool", "tool", "assistant"]
    stream = told["stream"]
    assert stream["pieces"] == stream["text"] == told["raw"]["text"]
    assert (stream["finish"], stream["usage"] > 5) == ("stop", True)
    assert told["structured"] == {"city": "example"}
    assert told["image"].startswith(SAYS)
    assert told["responses"]["text"] == stream["text"]
    assert told["responses"]["events"][0] == "response.created"
    assert told["responses"]["events"][-1] == "response.completed"
    assert told["raw"]["same"] is True
    assert set(told["many"]) == {stream["text"]}
    refused = told["refused"]
    assert (refused["kind"], refused["status"], refused["type"]) == ("BadRequestError", 400, "invalid_request_error")
    assert refused["id"].startswith("req_")


@pytest.mark.parametrize(
    "name", ["openai", "nova on bedrock", "gemini on vertex", "llama on oracle", "claude on bedrock"]
)
def test_anthropic(every: Serving, emulators: Emulators, name: str) -> None:
    """Its tool runner begins a thread too, and does without one."""
    calls = (*TWO_CALLS, *TWO_CALLS, Behaviour(call_tool=True))
    told = said(every, emulators, "anthropic_protocol.mjs", name, *calls)
    for ran in (told["tools"], told["streamedTools"]):
        assert (ran["called"], ran["reason"]) == (BOTH, "end_turn")
        assert ran["text"].startswith(SAYS)
    assert list(told["input"].values()) == [{"city": "example"}] * 3
    stream = told["stream"]
    assert stream["pieces"] == stream["text"] == told["raw"]["text"]
    assert (stream["reason"], stream["usage"] > 5, stream["id"][:4]) == ("end_turn", True, "req_")
    assert told["structured"] == {"city": "example"}
    assert told["image"].startswith(SAYS)
    assert told["counted"] > 0
    assert told["raw"]["same"] is True
    assert set(told["many"]) == {stream["text"]}
    refused = told["refused"]
    assert (refused["kind"], refused["status"], refused["type"]) == ("BadRequestError", 400, "invalid_request_error")
    assert refused["id"].startswith("req_")
