"""Signed thinking comes back to the model that thought it, whatever the client's protocol has room for.

The emulated providers check it as the real ones do: a call of a tool whose thinking is missing or altered is refused.
"""

from __future__ import annotations

import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from tests.e2e.clients.sdks import Sdks
from tests.e2e.protocol.calls import ask
from tests.e2e.protocol.providers import PROVIDERS, Provider
from tests.e2e.protocol.test_agent_loops import SCHEMA, by_path
from tests.fixtures.serving import Serving

THINKERS = {
    name: PROVIDERS[name] for name in ("anthropic", "claude on bedrock", "claude on vertex", "gemini on vertex")
} | {"gemini 3 on vertex": Provider("vertex_us", "gemini-3-pro-preview", PROVIDERS["gemini on vertex"].host)}

CHAT = """
client = openai.OpenAI(max_retries=0)
tools = [{"type": "function", "function": {"name": "get_weather", "description": "Weather", "parameters": schema}}]
messages = [{"role": "user", "content": "Weather in Paris?"}]
shown, texts = [], []
for turn in range(2):
    asked = {"model": model, "messages": messages, "tools": tools, "max_tokens": 8000, "reasoning_effort": "medium"}
    if stream:
        message = {"role": "assistant", "content": None}
        calls, thought = {}, ""
        for chunk in client.chat.completions.create(**asked, stream=True):
            for choice in chunk.choices:
                thought += getattr(choice.delta, "reasoning_content", None) or ""
                if choice.delta.content:
                    message["content"] = (message["content"] or "") + choice.delta.content
                for piece in choice.delta.tool_calls or ():
                    function = {"name": "", "arguments": ""}
                    call = calls.setdefault(piece.index, {"id": "", "type": "function", "function": function})
                    call["id"] += piece.id or ""
                    call["function"]["name"] += piece.function.name or ""
                    call["function"]["arguments"] += piece.function.arguments or ""
        if calls:
            message["tool_calls"] = list(calls.values())
    else:
        answer = client.chat.completions.create(**asked).choices[0].message
        thought = getattr(answer, "reasoning_content", None) or ""
        # As most programs do: only what OpenAI's own types name goes back.
        message = {"role": "assistant", "content": answer.content}
        if answer.tool_calls:
            message["tool_calls"] = [
                {"id": call.id, "type": "function", "function": call.function.to_dict()} for call in answer.tool_calls
            ]
    shown.append(thought)
    texts.append(message["content"])
    messages.append(message)
    for call in message.get("tool_calls", ()):
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": "18 degrees"})
result = [shown, texts, len(messages)]
"""

RESPONSES = """
client = openai.OpenAI(max_retries=0)
tools = [{"type": "function", "name": "get_weather", "description": "Weather", "parameters": schema, "strict": False}]
items, shown, texts = [{"role": "user", "content": "Weather in Paris?"}], [], []
for turn in range(2):
    asked = {
        "model": model, "input": items, "tools": tools, "max_output_tokens": 8000, "store": False,
        "reasoning": {"effort": "medium", "summary": "auto"}, "include": ["reasoning.encrypted_content"],
    }
    answer = client.responses.create(**asked, stream=stream)
    answer = list(answer)[-1].response if stream else answer
    shown.append("".join(part.text for item in answer.output if item.type == "reasoning" for part in item.summary))
    texts.append(answer.output_text)
    items += [item.to_dict() for item in answer.output]
    items += [
        {"type": "function_call_output", "call_id": item.call_id, "output": "18 degrees"}
        for item in answer.output if item.type == "function_call"
    ]
result = [shown, texts, len(items)]
"""

MESSAGES = """
client = anthropic.Anthropic(max_retries=0)
tools = [{"name": "get_weather", "description": "Weather", "input_schema": schema}]
messages, shown, texts = [{"role": "user", "content": "Weather in Paris?"}], [], []
for turn in range(2):
    asked = {
        "model": model, "messages": messages, "tools": tools, "max_tokens": 8000,
        "thinking": {"type": "enabled", "budget_tokens": 2000},
    }
    if stream:
        with client.messages.stream(**asked) as events:
            answer = events.get_final_message()
    else:
        answer = client.messages.create(**asked)
    shown.append("".join(block.thinking for block in answer.content if block.type == "thinking"))
    texts.append("".join(block.text for block in answer.content if block.type == "text"))
    messages.append({"role": "assistant", "content": [block.to_dict() for block in answer.content]})
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": "18 degrees"}
        for block in answer.content if block.type == "tool_use"
    ]
    messages.append({"role": "user", "content": results or "Thanks."})
result = [shown, texts, len(messages)]
"""
CLIENTS = {"chat": CHAT, "responses": RESPONSES, "messages": MESSAGES}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("provider", THINKERS.values(), ids=THINKERS)
@pytest.mark.parametrize("client", CLIENTS)
def test_thinking_survives_a_tool(
    every: Serving, emulators: Emulators, sdks: Sdks, client: str, provider: Provider, stream: bool
) -> None:
    environ, model = by_path(client, provider, every)
    emulators.behave(provider.host, Behaviour(call_tool=True, think=True), times=1)
    emulators.behave(provider.host, Behaviour(think=True))
    shown, texts, _ = sdks.run(CLIENTS[client], environ, model=model, stream=stream, schema=SCHEMA)
    if not (
        client == "chat" and "gemini" in provider.model
    ):  # who has no word for it is not shown what it did not ask for
        assert all(shown), "the client was not shown what the model thought"
    assert texts[1].startswith("Hello from the emulated")
    assert len(emulators.requests(provider.host)) == 2


def test_one_callers_thinking_is_not_anothers(every: Serving, emulators: Emulators) -> None:
    """Another user who guesses the id of a call gets nothing of what was thought before it."""
    one = PROVIDERS["claude on bedrock"]
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}]
    asked = {"model": one.model, "tools": tools, "max_tokens": 8000, "reasoning_effort": "medium"}
    question = {"role": "user", "content": "Weather?"}
    emulators.behave(one.host, Behaviour(call_tool=True, think=True), times=1)
    first = ask(every, f"/openai/{one.instance}/chat/completions", {**asked, "messages": [question]})
    (call,) = first.json["choices"][0]["message"]["tool_calls"]
    turns = [
        question,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": "18"},
    ]
    emulators.clear()
    path = f"/openai/{one.instance}/chat/completions"
    ask(every, path, {**asked, "messages": turns}, authorization=f"Bearer {every.key('mallory')}")
    ask(every, path, {**asked, "messages": turns})
    theirs, own = emulators.requests(one.host)
    assert b"signature" in own.body
    assert b"signature" not in theirs.body
