"""The Messages format: the order of events, tools, and the turns that are refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmauth.demo.anthropic import HOST
from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from tests.llmauth.demo.clients import Clients
from tests.llmauth.demo.test_anthropic import HELLO, ask, sdk

TOOL = {
    "name": "weather",
    "input_schema": {"type": "object", "properties": {"cities": {"type": "array", "items": {"type": "string"}}}},
}
USE = {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}]}


def result(tool_use_id: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": tool_use_id, "content": "sunny"}]}


def events(body: bytes) -> list[tuple[str, dict[str, Any]]]:
    parsed = []
    for block in body.decode().strip().split("\n\n"):
        name, data = block.split("\n")
        parsed.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return parsed


def test_events_come_in_the_documented_order(emulators: Emulators) -> None:
    answer = ask(emulators, "/v1/messages", {**HELLO, "stream": True, "max_tokens": 3})
    seen = events(answer.body)
    assert [name for name, _ in seen] == [
        "message_start",
        "content_block_start",
        "ping",
        *["content_block_delta"] * 3,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert all(name == data["type"] for name, data in seen)


def test_usage_is_split_over_two_events(emulators: Emulators) -> None:
    seen = dict(events(ask(emulators, "/v1/messages", {**HELLO, "stream": True, "max_tokens": 3}).body))
    assert seen["message_start"]["message"]["usage"]["input_tokens"] > 0
    assert seen["message_delta"] == {
        "type": "message_delta",
        "delta": {"stop_reason": "max_tokens", "stop_sequence": None},
        "usage": {"output_tokens": 3},
    }


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "weather"}])
def test_a_forced_tool_is_called_with_what_its_schema_takes(
    clients: Clients, emulators: Emulators, choice: dict[str, str]
) -> None:
    code = """
    with client.messages.stream(**hello) as stream:
        result = stream.get_final_message().to_dict()
    """
    answer = sdk(clients, emulators, code, hello={**HELLO, "tools": [TOOL], "tool_choice": choice})
    assert answer["content"][0]["input"] == {"cities": ["example"]}
    assert answer["stop_reason"] == "tool_use"


def test_offered_tools_are_left_alone_unless_the_behaviour_calls_them(emulators: Emulators) -> None:
    emulators.behave(HOST, Behaviour(call_tool=True))
    called, left = (ask(emulators, "/v1/messages", {**HELLO, "tools": [TOOL]}).json() for _ in range(2))
    assert (called["stop_reason"], left["stop_reason"]) == ("tool_use", "end_turn")


def test_a_tool_result_may_follow_its_call(emulators: Emulators) -> None:
    turns = [*HELLO["messages"], USE, result("toolu_1")]
    assert ask(emulators, "/v1/messages", {**HELLO, "messages": turns}).status == 200


@pytest.mark.parametrize(
    ("turns", "named"),
    [
        ([{"role": "assistant", "content": "I begin"}], "messages[0].role"),
        ([*HELLO["messages"], USE, *HELLO["messages"]], "messages[2]"),
        ([*HELLO["messages"], USE, result("toolu_2")], "messages[2]"),
        ([result("toolu_1")], "messages[0]"),
    ],
)
def test_turns_out_of_order_are_refused(emulators: Emulators, turns: list[dict[str, Any]], named: str) -> None:
    answer = ask(emulators, "/v1/messages", {**HELLO, "messages": turns})
    assert answer.status == 400
    assert answer.json()["error"]["message"].startswith(f"{named}: ")


def test_a_thinking_budget_beyond_the_limit_is_refused(emulators: Emulators) -> None:
    thinking = {"type": "enabled", "budget_tokens": 2048}
    assert ask(emulators, "/v1/messages", {**HELLO, "thinking": thinking}).status == 400
    assert ask(emulators, "/v1/messages", {**HELLO, "thinking": thinking, "max_tokens": 4096}).status == 200


@pytest.mark.parametrize("ttl", [None, "5m", "1h"])
def test_a_marked_prompt_is_written_and_then_read(emulators: Emulators, ttl: str | None) -> None:
    mark = {"type": "ephemeral", **({"ttl": ttl} if ttl else {})}
    system = [{"type": "text", "text": "x" * 400, "cache_control": mark}]
    plain, first, again = (
        ask(emulators, "/v1/messages", {**HELLO, **more}).json()["usage"]
        for more in ({"system": "x" * 400}, {"system": system}, {"system": system})
    )
    written = first["cache_creation_input_tokens"]
    assert (plain["cache_creation_input_tokens"], plain["cache_read_input_tokens"]) == (0, 0)
    assert written >= 100
    kept = first["cache_creation"]
    assert kept["ephemeral_1h_input_tokens" if ttl == "1h" else "ephemeral_5m_input_tokens"] == written
    assert (again["cache_read_input_tokens"], again["cache_creation_input_tokens"]) == (written, 0)
    assert first["input_tokens"] == again["input_tokens"] > 0


def test_a_mark_of_the_whole_request_is_one_of_its_last_block(emulators: Emulators) -> None:
    asked = {**HELLO, "system": "x" * 400, "cache_control": {"type": "ephemeral"}}
    further = [*HELLO["messages"], {"role": "assistant", "content": "hello"}, {"role": "user", "content": "again"}]
    first = ask(emulators, "/v1/messages", asked).json()["usage"]
    again = ask(emulators, "/v1/messages", {**asked, "messages": further, "stream": True})
    usage = dict(events(again.body))["message_start"]["message"]["usage"]
    assert usage["cache_read_input_tokens"] == first["cache_creation_input_tokens"] >= 100
    assert usage["cache_creation_input_tokens"] > 0


def test_a_schema_is_answered_in_json(emulators: Emulators) -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}, "$defs": {"b": {"enum": ["x"]}}}
    asked = {**HELLO, "output_config": {"format": {"type": "json_schema", "schema": schema}}}
    assert ask(emulators, "/v1/messages", asked).json()["content"][0]["text"] == '{"a":"x"}'
    streamed = events(ask(emulators, "/v1/messages", {**asked, "stream": True}).body)
    pieces = [event["delta"]["text"] for name, event in streamed if name == "content_block_delta"]
    assert "".join(pieces) == '{"a":"x"}'
