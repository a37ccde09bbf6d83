"""Oracle's chat in both formats: what is said whole and streamed, and where the formats differ."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulator import PAUSE, Call
from llmauth.demo.http1 import Request, parse_head
from llmauth.demo.oracle_chat import Reply, reply

HEAD = parse_head(b"POST /20231130/actions/chat HTTP/1.1\r\nHost: x\r\n\r\n")
HELLO = [{"role": "USER", "content": [{"type": "TEXT", "text": "hello"}]}]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "FUNCTION", "name": "weather", "parameters": PARAMETERS}
COHERE_TOOL = {
    "name": "weather",
    "description": "d",
    "parameterDefinitions": {"city": {"type": "str", "isRequired": True}, "days": {"type": "int"}},
}


def said(behaviour: Behaviour | None = None, **request: Any) -> Reply:
    call = Call("x", Request(HEAD, b"{}"), behaviour or Behaviour(), 5)
    return reply(call, request, 1_800_000_000.0)


def generic(behaviour: Behaviour | None = None, **more: Any) -> Reply:
    return said(behaviour, apiFormat="GENERIC", messages=HELLO, **more)


def cohere(behaviour: Behaviour | None = None, **more: Any) -> Reply:
    return said(behaviour, apiFormat="COHERE", message="hello", **more)


def events(one: Reply) -> list[dict[str, Any]]:
    return [json.loads(event.removeprefix(b"data: ")) for event in one.events() if event != PAUSE]


def test_generic_is_the_same_whole_and_streamed() -> None:
    whole = generic().whole()
    assert whole["timeCreated"] == "2027-01-15T08:00:00.000Z"
    chunks = events(generic(streamOptions={"isIncludeUsage": True}))
    text = "".join(part["text"] for c in chunks for part in c.get("message", {}).get("content", ()))
    assert text == whole["choices"][0]["message"]["content"][0]["text"] == "Hello from the emulated Oracle"
    assert [c.get("finishReason") for c in chunks if "finishReason" in c] == ["stop"]
    assert chunks[-1]["usage"] == whole["usage"]
    assert "usage" not in events(generic())[-1]


def test_a_limit_ends_an_answer() -> None:
    for limited in (generic(maxTokens=2), generic(maxCompletionTokens=2)):
        assert limited.whole()["choices"][0]["finishReason"] == "length"


@pytest.mark.parametrize("choice", [{"type": "REQUIRED"}, {"type": "FUNCTION", "name": "weather"}])
def test_generic_calls_a_tool(choice: dict[str, str]) -> None:
    message = generic(tools=[TOOL], toolChoice=choice).whole()["choices"][0]["message"]
    (call,) = message["toolCalls"]
    assert (call["type"], call["name"], json.loads(call["arguments"])) == ("FUNCTION", "weather", {"city": "example"})
    pieces = [one["message"]["toolCalls"][0] for one in events(generic(tools=[TOOL], toolChoice=choice))[:-1]]
    assert "".join(piece["arguments"] for piece in pieces) == call["arguments"]
    assert ["id" in piece for piece in pieces] == [True] + [False] * (len(pieces) - 1)
    assert "toolCalls" not in events(generic(tools=[TOOL], toolChoice={"type": "NONE"}))[0]["message"]


def test_cohere_repeats_the_whole_text_at_its_end() -> None:
    chunks = events(cohere())
    assert "".join(c["text"] for c in chunks[:-1]) == chunks[-1]["text"] == cohere().whole()["text"]
    assert chunks[-1]["finishReason"] == "COMPLETE"
    assert [turn["role"] for turn in chunks[-1]["chatHistory"]] == ["USER", "CHATBOT"]
    assert cohere(maxTokens=2).whole()["finishReason"] == "MAX_TOKENS"


def test_cohere_calls_a_tool_without_an_id() -> None:
    whole = cohere(Behaviour(call_tool=True), tools=[COHERE_TOOL]).whole()
    assert whole["toolCalls"] == [{"name": "weather", "parameters": {"city": "example", "days": 1}}]
    assert events(cohere(Behaviour(call_tool=True), tools=[COHERE_TOOL]))[-1]["toolCalls"] == whole["toolCalls"]


@pytest.mark.parametrize("make", [generic, cohere])
def test_a_stream_that_fails_says_so(make: Any) -> None:
    chunks = events(make(Behaviour(fail_after=2)))
    assert len(chunks) == 3
    assert chunks[-1]["code"] == "InternalServerError"


def test_generic_thinks_calls_and_answers_schemas() -> None:
    two = Behaviour(call_tool=True, calls=2, think=True)
    whole = generic(two, tools=[TOOL], reasoningEffort="LOW").whole()
    message = whole["choices"][0]["message"]
    assert [json.loads(call["arguments"])["city"] for call in message["toolCalls"]] == ["example", "example 2"]
    assert whole["usage"]["completionTokensDetails"]["reasoningTokens"] == 7
    messages = [one["message"] for one in events(generic(two, tools=[TOOL], reasoningEffort="LOW"))]
    assert "".join(one.get("reasoningContent", "") for one in messages) == message["reasoningContent"]
    assert len([call for one in messages for call in one.get("toolCalls", ()) if "id" in call]) == 2
    single = generic(two, tools=[TOOL], isParallelToolCalls=False).whole()["choices"][0]["message"]
    assert (len(single["toolCalls"]), "reasoningContent" in single) == (1, False)
    shaped = generic(responseFormat={"type": "JSON_SCHEMA", "jsonSchema": {"name": "n", "schema": PARAMETERS}})
    assert shaped.whole()["choices"][0]["message"]["content"][0]["text"] == '{"city":"example"}'


def test_cohere_tells_usage_in_its_last_chunk() -> None:
    chunks = events(cohere())
    assert chunks[-1]["usage"] == cohere().whole()["usage"]
    assert not any("usage" in chunk for chunk in chunks[:-1])
