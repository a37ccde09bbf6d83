"""The way back: answers, streams and refusals in the client's protocol, and what of the provider's head ends here."""

from __future__ import annotations

import json
from collections.abc import Awaitable
from typing import Any

import pytest
from mitmproxy import http

from addons.answers import Answers
from addons.translate import Translate
from llmauth.chat.messages import ChatRequest, Message, Signature, Thinking, ToolCall
from llmauth.errors import BrokenAnswer, UpstreamError
from tests.addons import flows
from tests.addons.conftest import House
from tests.addons.test_route import ALICE, status
from tests.addons.test_translate import CHAT, HELLO, MESSAGES, MODELS, routed

JSON, SSE = (b"content-type", b"application/json"), (b"content-type", b"text/event-stream; charset=utf-8")
SECRET = b"sk-ant-ours-0123456789"
SAID = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5",
    "content": [{"type": "text", "text": "Hello"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 5, "output_tokens": 2},
}
COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "gpt-4o",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
}
BEGIN = (
    b'event: message_start\ndata: {"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 5}}}\n\n'
)


@pytest.fixture
def sections() -> dict[str, Any]:
    return {"models": MODELS}


def sent(house: House, path: bytes = CHAT, **body: Any) -> http.HTTPFlow:
    """A flow whose request has left."""
    flow = routed(house, path, {"model": "claude", "messages": HELLO, **body})
    Translate(house.gateway, house.exchanges).request(flow)
    exchange = house.exchanges.of(flow)
    exchange.sent_at, exchange.secrets = 1.0, (SECRET,)
    assert flow.response is None
    return flow


async def answered(
    house: House, flow: http.HTTPFlow, code: int, *fields: tuple[bytes, bytes], body: Any = b""
) -> http.HTTPFlow:
    """The flow after both hooks of an answer that was read whole."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    flows.answered(flow, code, *fields, body=raw)
    answers = Answers(house.gateway, house.exchanges)
    answers.responseheaders(flow)
    if flow.response.stream is not True:
        rest = answers.response(flow)
        if isinstance(rest, Awaitable):
            await rest
    return flow


def told(flow: http.HTTPFlow) -> Any:
    return json.loads(flow.response.content or b"")


async def test_an_answer_is_the_client_s(house: House) -> None:
    cookie, own_id = (b"set-cookie", b"provider=1"), (b"request-id", b"req_of_anthropic")
    flow = await answered(house, sent(house, seed=1), 200, JSON, cookie, own_id, body=SAID)
    answer, exchange = told(flow), house.exchanges.of(flow)
    assert (answer["object"], answer["model"]) == ("chat.completion", "claude")
    assert answer["choices"][0]["message"]["content"] == "Hello"
    assert flow.response.headers["x-llmauth-served-by"] == "anthropic"
    assert flow.response.headers["x-llmauth-dropped"] == "seed"
    assert flow.response.headers["content-length"] == str(len(flow.response.content or b""))
    assert "set-cookie" not in flow.response.headers
    assert (exchange.usage.input, exchange.usage.output) == (5, 2)
    assert exchange.provider_request_id == "req_of_anthropic"


async def test_what_passes_is_not_touched(house: House) -> None:
    flow = await answered(house, sent(house, model="gpt-4o"), 429, JSON, (b"retry-after", b"3"), body=b'{"odd" : 1}')
    assert (status(flow), flow.response.content) == (429, b'{"odd" : 1}')
    assert flow.response.headers["retry-after"] == "3"
    assert flow.response.headers["x-llmauth-served-by"] == "openai"


async def test_anthropic_s_sdk_finds_an_id_where_it_looks_for_one(house: House) -> None:
    flow = await answered(house, sent(house, MESSAGES, model="gpt-4o", max_tokens=5), 200, JSON, body=COMPLETION)
    assert flow.response.headers["request-id"] == house.exchanges.of(flow).context.request_id
    theirs = (b"request-id", b"req_of_anthropic")
    flow = await answered(house, sent(house, MESSAGES, max_tokens=5), 200, JSON, theirs, body=SAID)
    assert flow.response.headers.get_all("request-id") == ["req_of_anthropic"]
    flow = await answered(house, sent(house), 200, JSON, body=SAID)
    assert "request-id" not in flow.response.headers


@pytest.mark.parametrize("sections", [{"instances": {"bedrock_us1": {"type": "bedrock", "region": "us-east-1"}}}])
async def test_a_host_that_refuses_in_its_own_words_is_told_in_the_client_s(house: House) -> None:
    """Bedrock answers Anthropic's own bodies, and refuses them in AWS's words."""
    sending = sent(house, MESSAGES, model="us.anthropic.claude-sonnet-4-5-20250929-v1:0", max_tokens=5)
    assert "accept-encoding" not in house.exchanges.of(sending).request.headers
    kind = (b"x-amzn-errortype", b"ThrottlingException:http://internal.amazon.com/")
    flow = await answered(house, sending, 429, JSON, kind, body={"message": f"slower, {SECRET.decode()}"})
    assert (status(flow), told(flow)["error"]["type"]) == (429, "rate_limit_error")
    assert "slower" in told(flow)["error"]["message"]
    assert SECRET not in (flow.response.content or b"")
    assert flow.response.headers["x-llmauth-served-by"] == "bedrock_us1"


@pytest.mark.parametrize(
    ("code", "kind", "client_code"),
    [(429, "rate_limit_error", 429), (400, "invalid_request_error", 400), (529, "overloaded_error", 503)],
)
async def test_a_refusal_of_the_provider_is_told_in_the_client_s_words(
    house: House, code: int, kind: str, client_code: int
) -> None:
    refusal = {"type": "error", "error": {"type": kind, "message": "not now"}}
    flow = await answered(house, sent(house), code, JSON, (b"retry-after", b"7"), body=refusal)
    assert status(flow) == client_code
    assert "not now" in told(flow)["error"]["message"]
    assert flow.response.headers["x-llmauth-served-by"] == "anthropic"
    if client_code != 400:
        assert flow.response.headers["retry-after"] == "7"


async def test_a_refusal_that_repeats_our_credential_does_not_tell_it(house: House) -> None:
    """S10: what is written anew is searched first."""
    refusal = {"type": "error", "error": {"type": "api_error", "message": f"bad key {SECRET.decode()}"}}
    flow = await answered(house, sent(house), 500, JSON, body=refusal)
    assert "bad key" in told(flow)["error"]["message"]
    assert SECRET not in (flow.response.content or b"")


@pytest.mark.parametrize(
    ("fields", "body", "stream"),
    [
        ((JSON,), b"<html>", False),
        ((JSON,), b"", False),
        ((JSON, (b"content-encoding", b"br")), b"\x00", False),
        ((JSON,), json.dumps(SAID).encode(), True),
    ],
    ids=["no JSON", "empty", "compressed", "no stream"],
)
async def test_an_answer_that_cannot_be_read_is_a_502(
    house: House, fields: tuple[tuple[bytes, bytes], ...], body: bytes, stream: bool
) -> None:
    flow = await answered(house, sent(house, stream=stream), 200, *fields, body=body)
    assert status(flow) == 502
    assert told(flow)["error"]["code"] == "provider_answer_broken"
    assert isinstance(house.exchanges.of(flow).error, BrokenAnswer)


async def test_a_stream_is_changed_as_it_passes(house: House) -> None:
    length = (b"content-length", b"999")
    flow = await answered(house, sent(house, stream=True, seed=1), 200, SSE, length, (b"set-cookie", b"a=b"))
    exchange = house.exchanges.of(flow)
    assert flow.response.stream is True
    assert flow.response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert flow.response.headers["x-llmauth-dropped"] == "seed"
    assert not {"content-length", "set-cookie"} & set(flow.response.headers)
    assert exchange.stream is not None
    assert b"chat.completion.chunk" in exchange.stream.feed(BEGIN)


async def test_a_refusal_in_the_place_of_a_stream_is_read_whole(house: House) -> None:
    refusal = {"type": "error", "error": {"type": "overloaded_error", "message": "not now"}}
    flow = await answered(house, sent(house, stream=True), 529, JSON, body=refusal)
    assert status(flow) == 503
    assert house.exchanges.of(flow).stream is None


async def test_why_a_stream_failed_is_known_when_it_has_ended(house: House) -> None:
    flow = await answered(house, sent(house, stream=True), 200, SSE)
    exchange = house.exchanges.of(flow)
    exchange.stream.feed(BEGIN)
    exchange.stream.feed(b'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error"}}\n\n')
    Answers(house.gateway, house.exchanges).error(flow)
    assert isinstance(exchange.error, UpstreamError)


@pytest.mark.parametrize(("path", "model", "said"), [(CHAT, "claude", SAID), (MESSAGES, "gpt-4o", COMPLETION)])
async def test_a_member_s_name_cannot_become_a_header(
    house: House, path: bytes, model: str, said: dict[str, Any]
) -> None:
    """Members that we do not know are named in a header, and a client chose them."""
    odd: dict[str, Any] = {"model": model, "max_tokens": 5, "x\r\nset-cookie: a": 1}
    flow = await answered(house, sent(house, path, **odd), 200, JSON, body=said)
    assert status(flow) == 200
    assert "set-cookie" not in flow.response.headers
    assert all(byte >= 32 for byte in flow.response.headers["x-llmauth-dropped"].encode())


async def test_what_was_thought_before_a_call_is_kept_for_its_caller(house: House) -> None:
    content = [
        {"type": "thinking", "thinking": "why", "signature": "c2lnbmVk"},
        {"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {}},
    ]
    tool = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}
    await answered(
        house, sent(house, tools=[tool]), 200, JSON, body={**SAID, "content": content, "stop_reason": "tool_use"}
    )
    again = ChatRequest(model="x", messages=(Message("assistant", (ToolCall("toolu_1", "look_up", "{}"),)),))
    thought = Thinking("why", Signature(origin="anthropic", value="c2lnbmVk"))
    assert house.gateway.thoughts.recall(ALICE.user, again).messages[0].parts[0] == thought
    assert house.gateway.thoughts.recall("bob", again) == again


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
async def test_answers_of_ours_are_left_alone(house: House, path: bytes) -> None:
    flow = sent(house, path, max_tokens=5)
    house.exchanges.of(flow).sent_at = None
    flows.answered(flow, 504, JSON, body=b"ours")
    Answers(house.gateway, house.exchanges).responseheaders(flow)
    assert (status(flow), flow.response.content) == (504, b"ours")
    assert "x-llmauth-served-by" not in flow.response.headers
