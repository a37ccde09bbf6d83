"""Agents: tools are called and their results returned, three turns, from every client protocol to every provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from tests.e2e.clients import ways
from tests.e2e.clients.sdks import Sdks
from tests.e2e.protocol.providers import PROVIDERS, Provider, counted_output
from tests.fixtures.serving import Serving

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}

CHAT = """
import json
client = openai.OpenAI(max_retries=0, _strict_response_validation=strict)
tools = [{"type": "function", "function": {"name": "get_weather", "description": "Weather", "parameters": schema}}]
messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Weather in Paris?"}]
turns = []

def ask():
    asked = {"model": model, "messages": messages, "tools": tools, "max_tokens": 500}
    if not stream:
        answer = client.chat.completions.create(**asked)
        choice = answer.choices[0]
        said = {name: value for name, value in choice.message.to_dict().items() if name != "annotations"}
        return said, choice.finish_reason, answer.usage, answer.model
    message, finish, usage, named = {"role": "assistant", "content": None}, None, None, None
    calls = {}
    for chunk in client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}):
        usage, named = chunk.usage or usage, chunk.model
        for choice in chunk.choices:
            finish = choice.finish_reason or finish
            if choice.delta.content:
                message["content"] = (message["content"] or "") + choice.delta.content
            for piece in choice.delta.tool_calls or ():
                function = {"name": "", "arguments": ""}
                call = calls.setdefault(piece.index, {"id": "", "type": "function", "function": function})
                call["id"] += piece.id or ""
                call["function"]["name"] += piece.function.name or ""
                call["function"]["arguments"] += piece.function.arguments or ""
    if calls:
        message["tool_calls"] = [calls[index] for index in sorted(calls)]
    return message, finish, usage, named

for turn in range(3):
    message, finish, usage, named = ask()
    calls = message.get("tool_calls") or []
    turns.append({
        "text": message.get("content") or "", "finish": finish, "output": usage.completion_tokens, "model": named,
        "total": usage.total_tokens == usage.prompt_tokens + usage.completion_tokens,
        "calls": [[call["function"]["name"], json.loads(call["function"]["arguments"])] for call in calls],
        "ids": [call["id"] for call in calls],
    })
    messages.append(message)
    for call in calls:
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": "18 degrees"})
    if not calls:
        messages.append({"role": "user", "content": "And tomorrow?"})
result = turns
"""

RESPONSES = """
import json
client = openai.OpenAI(max_retries=0, _strict_response_validation=strict)
tools = [{"type": "function", "name": "get_weather", "description": "Weather", "parameters": schema, "strict": False}]
items = [{"role": "user", "content": "Weather in Paris?"}]
turns = []
for turn in range(3):
    asked = {"model": model, "instructions": "Be brief.", "input": items, "tools": tools, "max_output_tokens": 500}
    if stream:
        events = list(client.responses.create(**asked, stream=True))
        numbers = [event.sequence_number for event in events]
        assert numbers == sorted(set(numbers)), numbers
        answer = events[-1].response
    else:
        answer = client.responses.create(**asked)
    calls = [item for item in answer.output if item.type == "function_call"]
    turns.append({
        "text": answer.output_text, "finish": answer.status, "model": answer.model,
        "output": answer.usage.output_tokens,
        "total": answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens,
        "calls": [[call.name, json.loads(call.arguments)] for call in calls], "ids": [call.call_id for call in calls],
    })
    items += [item.to_dict() for item in answer.output]
    items += [{"type": "function_call_output", "call_id": call.call_id, "output": "18 degrees"} for call in calls]
    items += [] if calls else [{"role": "user", "content": "And tomorrow?"}]
result = turns
"""

MESSAGES = """
client = anthropic.Anthropic(max_retries=0, _strict_response_validation=strict)
tools = [{"name": "get_weather", "description": "Weather", "input_schema": schema}]
messages = [{"role": "user", "content": "Weather in Paris?"}]
turns = []
for turn in range(3):
    asked = {"model": model, "system": "Be brief.", "messages": messages, "tools": tools, "max_tokens": 500}
    if stream:
        with client.messages.stream(**asked) as events:
            answer = events.get_final_message()
    else:
        answer = client.messages.create(**asked)
    calls = [block for block in answer.content if block.type == "tool_use"]
    turns.append({
        "text": "".join(block.text for block in answer.content if block.type == "text"), "finish": answer.stop_reason,
        "output": answer.usage.output_tokens, "model": answer.model, "total": True,
        "calls": [[call.name, call.input] for call in calls], "ids": [call.id for call in calls],
    })
    messages.append({"role": "assistant", "content": [block.to_dict() for block in answer.content]})
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "18 degrees"} for call in calls]
    messages.append({"role": "user", "content": results or "And tomorrow?"})
result = turns
"""

# The client's code, the two ends of a turn in its words, and where its base URL stands.
CLIENTS: Mapping[str, tuple[str, str, str]] = {
    "chat": (CHAT, "tool_calls", "stop"),
    "responses": (RESPONSES, "completed", "completed"),
    "messages": (MESSAGES, "tool_use", "end_turn"),
}


def by_path(client: str, provider: Provider, gateway: Serving) -> tuple[Mapping[str, str], str]:
    """A base URL that names the instance."""
    if client == "messages":
        base = ways.plain(gateway, f"/anthropic/{provider.instance}")
        return {"ANTHROPIC_BASE_URL": base, "ANTHROPIC_API_KEY": gateway.key()}, provider.model
    base = ways.plain(gateway, f"/openai/{provider.instance}/v1")
    return {"OPENAI_BASE_URL": base, "OPENAI_API_KEY": gateway.key()}, provider.model


def rerouted(client: str, provider: Provider, gateway: Serving) -> tuple[Mapping[str, str], str]:
    """The vendor's own host through HTTPS_PROXY: the model leads to the instance, and what the SDK holds is nothing."""
    environ = {**ways.key_in_the_proxy(gateway), "OPENAI_API_KEY": "sk-placeholder", "ANTHROPIC_API_KEY": "placeholder"}
    return environ, f"{provider.instance}/{provider.model}"


def loop(sdks: Sdks, code: str, environ: Mapping[str, str], **names: Any) -> list[dict[str, Any]]:
    turns: list[dict[str, Any]] = sdks.run(code, environ, schema=SCHEMA, **names)
    return turns


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("road", [by_path, rerouted], ids=["by path", "rerouted"])
@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS)
@pytest.mark.parametrize("client", CLIENTS)
def test_an_agent_goes_three_turns(
    every: Serving, emulators: Emulators, sdks: Sdks, client: str, provider: Provider, road: Any, stream: bool
) -> None:
    code, called, ended = CLIENTS[client]
    environ, model = road(client, provider, every)
    emulators.behave(provider.host, Behaviour(call_tool=True), times=1)
    # What passes as it came is as strict as its provider: Azure's first chunk is of no kind that OpenAI has.
    strict = provider.instance != "azure_us"
    first, second, third = loop(sdks, code, environ, model=model, stream=stream, strict=strict)
    assert (first["finish"], first["calls"]) == (called, [["get_weather", {"city": "example"}]])
    assert len(first["ids"]) == 1
    for turn in (second, third):
        assert (turn["finish"], turn["calls"]) == (ended, [])
        assert turn["text"].startswith("Hello from the emulated")
    assert all(turn["total"] for turn in (first, second, third))
    seen = emulators.requests(provider.host)
    assert len(seen) == 3
    counted = [counted_output(one.sent_body) for one in seen]
    assert [turn["output"] for turn in (first, second, third)] == counted
    assert {one.host for one in emulators.requests()} <= {provider.host, "iam.cloud.ibm.com"}
