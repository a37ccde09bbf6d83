"""What is sent in the place of what came, and that what cannot be said never leaves."""

from __future__ import annotations

import json
from typing import Any

import pytest
from mitmproxy import http

from addons.route import Route
from addons.translate import Translate
from llmauth.context import Authenticated
from llmauth.http import Headers
from tests.addons import flows
from tests.addons.conftest import House
from tests.addons.test_route import arrived, status

MODELS = {"claude": {"instance": "anthropic", "model": "claude-sonnet-4-5"}, "gpt-*": {"instance": "openai"}}
HELLO = [{"role": "user", "content": "hi"}]
CHAT, MESSAGES, COUNT = b"/v1/chat/completions", b"/v1/messages", b"/v1/messages/count_tokens"
JSON = (b"Content-Type", b"application/json")


@pytest.fixture
def sections() -> dict[str, Any]:
    return {"models": MODELS}


def routed(house: House, path: bytes, body: dict[str, Any]) -> http.HTTPFlow:
    """A flow as it comes to translation."""
    flow = arrived(house, flows.gateway(house.exchanges, path, JSON, (b"Cookie", b"a=b"), method=b"POST"))
    route = Route(house.exchanges)
    route.requestheaders(flow)
    flow.request.raw_content = json.dumps(body).encode()
    route.request(flow)
    return flow


def translated(house: House, path: bytes, **body: Any) -> http.HTTPFlow:
    flow = routed(house, path, {"messages": HELLO, **body})
    Translate(house.gateway, house.exchanges).request(flow)
    return flow


async def test_a_chat_becomes_the_provider_s(house: House) -> None:
    flow = translated(house, CHAT, model="claude", max_tokens=9)
    exchange = house.exchanges.of(flow)
    sent = json.loads(flow.request.raw_content or b"")
    assert (sent["model"], sent["max_tokens"]) == ("claude-sonnet-4-5", 9)
    assert sent["messages"][0]["role"] == "user"
    # What will be signed is what will be sent.
    assert exchange.request.body == flow.request.raw_content
    assert exchange.prepared.route.path == "/v1/messages"
    assert exchange.request.headers.get("cookie") is None
    assert exchange.request.headers.get("anthropic-version") is not None


async def test_a_chat_that_its_provider_understands_passes(house: House) -> None:
    flow = translated(house, CHAT, model="gpt-4o", unheard_of=1)
    assert json.loads(flow.request.raw_content or b"")["unheard_of"] == 1
    assert house.exchanges.of(flow).prepared.passes


async def test_the_answer_s_id_is_that_of_the_request(house: House) -> None:
    flow = translated(house, CHAT, model="claude")
    exchange = house.exchanges.of(flow)
    assert exchange.prepared.translation.answering.id in exchange.context.request_id


@pytest.mark.parametrize(
    ("path", "more", "param"),
    [
        (CHAT, {"n": 2}, "n"),
        (CHAT, {"messages": [{"role": "wizard", "content": "hi"}]}, "messages[0].role"),
        (b"/v1/responses", {"input": "hi", "messages": None, "previous_response_id": "resp_1"}, "previous_response_id"),
    ],
)
async def test_what_cannot_be_said_is_refused_in_the_client_s_shape(
    house: House, path: bytes, more: dict[str, Any], param: str
) -> None:
    flow = translated(house, path, **{"model": "claude", **more})
    assert status(flow) == 400
    assert json.loads(flow.response.content or b"")["error"]["param"] == param
    assert house.exchanges.of(flow).prepared is None


async def test_anthropic_s_clients_are_refused_in_anthropic_s_shape(house: House) -> None:
    image = {"type": "image", "source": {"type": "file", "file_id": "f"}}
    flow = translated(house, MESSAGES, model="gpt-4o", max_tokens=5, messages=[{"role": "user", "content": [image]}])
    assert status(flow) == 400
    assert json.loads(flow.response.content or b"")["type"] == "error"


async def test_a_count_that_nobody_makes_is_answered_here(house: House) -> None:
    flow = translated(house, COUNT, model="gpt-4o")
    assert status(flow) == 200
    assert json.loads(flow.response.content or b"")["input_tokens"] > 0
    assert house.exchanges.of(flow).prepared is None


async def test_transparent_mode_is_left_alone(house: House) -> None:
    flow = routed(house, b"/transparent/openai/v1/chat/completions", {"model": "gpt-4o", "messages": []})
    before = flow.request.raw_content
    Translate(house.gateway, house.exchanges).request(flow)
    assert flow.request.raw_content == before
    assert house.exchanges.of(flow).prepared is None


async def test_a_flow_without_a_target_is_stopped(house: House) -> None:
    """F1: a stage that was skipped."""
    flow = arrived(house, flows.gateway(house.exchanges, CHAT, method=b"POST"))
    Route(house.exchanges).requestheaders(flow)
    assert type(house.exchanges.of(flow).context) is Authenticated
    Translate(house.gateway, house.exchanges).request(flow)
    assert status(flow) == 500
    assert Headers(flow.response.headers.fields).get("x-llmauth-fault") == "proxy"
