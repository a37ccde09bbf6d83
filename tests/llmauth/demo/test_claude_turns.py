"""Thoughts of Claude on their way back, from the official client's own turns and from turns that were changed."""

from __future__ import annotations

from typing import Any

import pytest

from llmauth.demo.anthropic import HOST
from llmauth.demo.behaviour import Behaviour
from llmauth.demo.claude_turns import check_thinking
from llmauth.demo.emulators import Emulators
from llmauth.demo.shapes import Mismatch
from llmauth.demo.thoughts import sign
from tests.llmauth.demo.clients import Clients
from tests.llmauth.demo.test_anthropic import HELLO, ask, sdk

TOOL = {"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
ENABLED = {"type": "enabled", "budget_tokens": 1024}
ASKED: dict[str, Any] = {**HELLO, "max_tokens": 4096, "tools": [TOOL], "thinking": ENABLED}
THOUGHT = {"type": "thinking", "thinking": "hm", "signature": sign("hm")}
USE = {"type": "tool_use", "id": "a", "name": "weather", "input": {}}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "sunny"}]}
LOOP = """
def say(messages):
    asked = {**hello, "messages": messages}
    if not streams:
        return client.messages.create(**asked)
    with client.messages.stream(**asked) as stream:
        return stream.get_final_message()

first = say(hello["messages"])
results = [
    {"type": "tool_result", "tool_use_id": block.id, "content": "sunny"}
    for block in first.content if block.type == "tool_use"
]
turns = [{"role": "assistant", "content": [one.to_dict() for one in first.content]}]
last = say([*hello["messages"], *turns, {"role": "user", "content": results}])
result = [first.to_dict(), last.to_dict()]
"""


def turns(*blocks: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**ASKED, "messages": [*HELLO["messages"], {"role": "assistant", "content": list(blocks)}, RESULT], **more}


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("thinking", [ENABLED, {"type": "adaptive"}, {"type": "adaptive", "display": "omitted"}])
def test_a_loop_of_two_calls_goes_round(
    clients: Clients, emulators: Emulators, thinking: dict[str, Any], streams: bool
) -> None:
    emulators.behave(HOST, Behaviour(think=True, call_tool=True, calls=2))
    emulators.behave(HOST, Behaviour(think=True))
    first, last = sdk(clients, emulators, LOOP, hello={**ASKED, "thinking": thinking}, streams=streams)
    assert [block["type"] for block in first["content"]] == ["thinking", "tool_use", "tool_use"]
    assert [block["input"] for block in first["content"][1:]] == [{"city": "example"}, {"city": "example 2"}]
    assert len({block["id"] for block in first["content"][1:]}) == 2
    assert (first["content"][0]["thinking"] == "") == (thinking.get("display") == "omitted")
    assert first["content"][0]["signature"]
    assert [block["type"] for block in last["content"]] == ["thinking", "text"]
    assert last["usage"]["output_tokens"] == 24 + 7
    assert last["usage"]["output_tokens_details"]["thinking_tokens"] == 7


def test_nobody_thinks_unasked(emulators: Emulators) -> None:
    emulators.behave(HOST, Behaviour(think=True), times=2)
    for thinking in ({"type": "disabled"}, None):
        asked = {**ASKED, "thinking": thinking} if thinking else {**HELLO}
        assert [block["type"] for block in ask(emulators, "/v1/messages", asked).json()["content"]] == ["text"]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (turns(THOUGHT, USE), None),
        (turns({"type": "redacted_thinking", "data": sign("")}, USE), None),
        (turns(USE, thinking={"type": "adaptive"}), None),
        (turns(USE, thinking={"type": "disabled"}), None),
        (turns(USE), "messages[1].content[0].type"),
        (turns({"type": "text", "text": "hm"}, THOUGHT, USE), "messages[1].content[0].type"),
        (turns({**THOUGHT, "thinking": "ha"}, USE), "messages[1].content[0].signature"),
        (turns({**THOUGHT, "signature": ""}, USE), "messages[1].content[0].signature"),
        (turns({**THOUGHT, "signature": sign("ha")}, USE, thinking={"type": "disabled"}), "messages[1].content[0]"),
        (turns({"type": "redacted_thinking", "data": "x"}, USE), "messages[1].content[0].data"),
        (turns(THOUGHT, USE, tool_choice={"type": "any"}), "tool_choice.type"),
        (turns(THOUGHT, USE, temperature=0.5), "temperature"),
        (turns(THOUGHT, USE, top_k=3), "top_k"),
    ],
)
def test_what_comes_back_is_verified(body: dict[str, Any], named: str | None) -> None:
    if named is None:
        check_thinking(body)
        return
    with pytest.raises(Mismatch) as caught:
        check_thinking(body)
    assert caught.value.path.startswith(named)


def test_a_lost_thought_has_anthropics_error(emulators: Emulators) -> None:
    reply = ask(emulators, "/v1/messages", turns(USE))
    assert (reply.status, reply.json()["error"]["type"]) == (400, "invalid_request_error")
    assert "Expected `thinking` or `redacted_thinking`, but found `tool_use`" in reply.json()["error"]["message"]


def test_calls_may_be_forbidden_to_be_parallel(emulators: Emulators) -> None:
    emulators.behave(HOST, Behaviour(call_tool=True, calls=3))
    asked = {**HELLO, "tools": [TOOL], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}
    assert len(ask(emulators, "/v1/messages", asked).json()["content"]) == 1
