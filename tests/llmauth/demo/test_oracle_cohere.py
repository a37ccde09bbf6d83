"""Cohere's two formats: loops of tools through the official client, parallel calls, thoughts, and JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from tests.llmauth.demo.clients import Clients
from tests.llmauth.demo.test_oracle import COMPARTMENT, INFERENCE, ask, code, envelope

R, A, REASONING = "cohere.command-r-plus-08-2024", "cohere.command-a-03-2025", "cohere.command-a-reasoning-08-2025"
CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
V1_TOOL = {"name": "f", "description": "d", "parameterDefinitions": {"city": {"type": "str"}}}
V2_TOOL = {"type": "FUNCTION", "function": {"name": "f", "parameters": CITY}}
V1 = {"apiFormat": "COHERE", "message": "hello", "tools": [V1_TOOL]}
V2 = {
    "apiFormat": "COHEREV2",
    "messages": [{"role": "USER", "content": [{"type": "TEXT", "text": "hello"}]}],
    "tools": [V2_TOOL],
}
CALLS = Behaviour(call_tool=True, calls=2)


def chunks(emulators: Emulators, request: dict[str, Any], model: str) -> list[dict[str, Any]]:
    reply = ask(emulators, envelope({**request, "isStream": True}, model))
    assert reply.status == 200, reply.body
    return [json.loads(event.removeprefix("data: ")) for event in reply.body.decode().strip().split("\n\n")]


def whole(emulators: Emulators, request: dict[str, Any], model: str) -> dict[str, Any]:
    reply = ask(emulators, envelope(request, model))
    assert reply.status == 200, reply.body
    told: dict[str, Any] = reply.json()["chatResponse"]
    return told


LOOP = """
import json, os
os.environ["REQUESTS_CA_BUNDLE"] = os.environ["SSL_CERT_FILE"]
import oci
from oci.generative_ai_inference import GenerativeAiInferenceClient, models as m

config = {**identity, "region": "us-chicago-1"}
client = GenerativeAiInferenceClient(config, retry_strategy=oci.retry.NoneRetryStrategy())

def ask(model, request):
    serving = m.OnDemandServingMode(model_id=model)
    details = m.ChatDetails(compartment_id=compartment, serving_mode=serving, chat_request=request)
    return client.chat(details).data.chat_response

definition = m.CohereParameterDefinition(type="str", is_required=True)
older = [m.CohereTool(name="f", description="d", parameter_definitions={"city": definition})]
first = ask(r, m.CohereChatRequest(message="hello", tools=older))
results = [m.CohereToolResult(call=call, outputs=[{"output": "sunny"}]) for call in first.tool_calls]
history = [m.CohereUserMessage(message="hello"), m.CohereChatBotMessage(tool_calls=first.tool_calls)]
second = ask(r, m.CohereChatRequest(message="", chat_history=history, tool_results=results, tools=older))

text = lambda said: [m.CohereTextContentV2(text=said)]
function = m.Function(name="f", parameters={"type": "object", "properties": {"city": {"type": "string"}}})
newer = [m.CohereToolV2(type="FUNCTION", function=function)]
messages = [m.CohereUserMessageV2(content=text("hello"))]
third = ask(a, m.CohereChatRequestV2(messages=messages, tools=newer))
messages.append(third.message)
messages += [m.CohereToolMessageV2(tool_call_id=call.id, content=text("sunny")) for call in third.message.tool_calls]
fourth = ask(a, m.CohereChatRequestV2(messages=messages, tools=newer))
result = [
    [[call.name, call.parameters] for call in first.tool_calls], second.text, second.usage.total_tokens > 0,
    [call.function for call in third.message.tool_calls], third.finish_reason, fourth.message.content[0].text,
]
"""


def test_the_official_client_goes_round_in_both_formats(cloud_clients: Clients, emulators: Emulators) -> None:
    identity = emulators.credentials.oci
    given = {"user": identity.user, "tenancy": identity.tenancy, "fingerprint": identity.fingerprint}
    given["key_content"] = identity.private_key
    # The first and the third request.
    for behaviour in (CALLS, Behaviour(), CALLS):
        emulators.behave(INFERENCE, behaviour)
    older, said, counted, newer, reason, last = cloud_clients.run(
        emulators, LOOP, identity=given, compartment=COMPARTMENT, r=R, a=A
    )
    assert older == [["f", {"city": "example"}], ["f", {"city": "example 2"}]]
    assert newer == [{"name": "f", "arguments": json.dumps(one[1], separators=(",", ":"))} for one in older]
    assert (said, counted, reason) == (last, True, "TOOL_CALL")
    assert said.startswith("Hello from the emulated Oracle")


@pytest.mark.parametrize(("request_", "model"), [(V1, R), (V2, A)])
def test_the_last_chunk_repeats_text_and_calls_and_has_the_bill(
    emulators: Emulators, request_: dict[str, Any], model: str
) -> None:
    emulators.behave(INFERENCE, CALLS, times=2)
    for answer in (whole(emulators, request_, model), whole(emulators, {**request_, "maxTokens": 3}, model)):
        assert answer["usage"]["completionTokens"] > 3
    for asked in ({**request_, "tools": [request_["tools"][0]]}, request_):
        emulators.behave(INFERENCE, CALLS if asked is request_ else Behaviour())
        *pieces, last = chunks(emulators, asked, model)
        assert last["usage"]["totalTokens"] == last["usage"]["promptTokens"] + last["usage"]["completionTokens"]
        assert not any("usage" in piece or "finishReason" in piece for piece in pieces)
        if model == R:
            assert "".join(piece["text"] for piece in pieces) == last["text"]
            assert len(last.get("toolCalls", [])) == (2 if asked is request_ else 0)
        else:
            calls = [call for piece in pieces for call in piece["message"].get("toolCalls", [])]
            assert last["message"].get("toolCalls", []) == calls
            assert len({call["id"] for call in calls}) == len(calls) == (2 if asked is request_ else 0)


def test_a_reasoning_model_thinks_where_it_may(emulators: Emulators) -> None:
    emulators.behave(INFERENCE, Behaviour(think=True), times=3)
    thinking = {**V2, "thinking": {"type": "ENABLED", "tokenBudget": 100}}
    thought, said = whole(emulators, thinking, REASONING)["message"]["content"]
    assert (thought["type"], said["type"]) == ("THINKING", "TEXT")
    last = chunks(emulators, thinking, REASONING)[-1]
    assert last["message"]["content"][0] == thought
    assert last["usage"]["completionTokensDetails"]["reasoningTokens"] == 7
    off = whole(emulators, {**V2, "thinking": {"type": "DISABLED"}}, REASONING)
    assert [part["type"] for part in off["message"]["content"]] == ["TEXT"]
    assert code(ask(emulators, envelope(thinking, A))) == (400, "InvalidParameter")


@pytest.mark.parametrize(("request_", "model"), [(V1, R), (V2, A)])
def test_a_schema_is_answered(emulators: Emulators, request_: dict[str, Any], model: str) -> None:
    asked = {**request_, "responseFormat": {"type": "JSON_OBJECT", "schema": CITY}}
    answer = whole(emulators, asked, model)
    text = answer["text"] if model == R else answer["message"]["content"][0]["text"]
    assert json.loads(text) == {"city": "example"}


@pytest.mark.parametrize(
    ("request_", "model"),
    [
        (V1, "meta.llama-3.3-70b-instruct"),
        (V2, R),
        ({**V2, "apiFormat": "GENERIC", "tools": []}, A),
        ({**V1, "presencePenalty": -1}, R),
        ({**V1, "chatHistory": [{"role": "user", "message": "x"}]}, R),
        ({**V1, "tools": [{**V1_TOOL, "parameterDefinitions": {"a": {"type": "str", "required": True}}}]}, R),
        ({**V1, "tools": [V2_TOOL]}, R),
        ({**V2, "tools": [V1_TOOL]}, A),
        ({**V2, "toolsChoice": "required"}, A),
        ({**V2, "toolsChoice": "AUTO"}, A),
        ({**V2, "toolChoice": {"type": "REQUIRED"}}, A),
        ({**V2, "messages": [{"role": "USER", "content": "hello"}]}, A),
        ({**V2, "messages": [{"role": "USER", "content": [{"type": "text", "text": "hello"}]}]}, A),
        ({**V2, "messages": [*V2["messages"], {"role": "TOOL", "toolCallId": "x", "content": []}]}, A),
    ],
)
def test_what_is_refused(emulators: Emulators, request_: dict[str, Any], model: str) -> None:
    assert code(ask(emulators, envelope(request_, model))) == (400, "InvalidParameter")
