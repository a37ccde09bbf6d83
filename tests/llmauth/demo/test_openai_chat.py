"""Chat Completions through the official client: whole and streamed, text and tools, limits and failures."""

from __future__ import annotations

from typing import Any

import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from llmauth.demo.openai import HOST
from tests.llmauth.demo.clients import ClientProblem, Clients
from tests.llmauth.demo.test_openai import HELLO, ask, sdk

TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}, "unit": {"type": "string"}},
            "required": ["city", "days"],
        },
    },
}
STREAM = """
chunks = [chunk.to_dict() for chunk in client.chat.completions.create(stream=True, **hello)]
result = chunks
"""


def said(chunks: list[dict[str, Any]], index: int = 0) -> str:
    choices = [choice for chunk in chunks for choice in chunk["choices"] if choice["index"] == index]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def test_a_whole_answer_passes_strict_validation(clients: Clients, emulators: Emulators) -> None:
    answer = sdk(clients, emulators, "result = client.chat.completions.create(**hello).to_dict()", hello=HELLO)
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert "emulated OpenAI" in answer["choices"][0]["message"]["content"]
    assert answer["usage"]["completion_tokens"] == 24


def test_a_stream_says_what_the_whole_answer_says(clients: Clients, emulators: Emulators) -> None:
    whole = sdk(clients, emulators, "result = client.chat.completions.create(**hello).to_dict()", hello=HELLO)
    chunks = sdk(clients, emulators, STREAM, hello=HELLO)
    assert said(chunks) == whole["choices"][0]["message"]["content"]
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert chunks[-1]["choices"][0] == {**chunks[-1]["choices"][0], "delta": {}, "finish_reason": "stop"}
    assert len({chunk["id"] for chunk in chunks}) == 1


def test_usage_comes_last_when_it_is_asked_for(clients: Clients, emulators: Emulators) -> None:
    chunks = sdk(clients, emulators, STREAM, hello={**HELLO, "stream_options": {"include_usage": True}})
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == 24
    assert all(chunk["usage"] is None for chunk in chunks[:-1])


def test_the_limit_ends_the_answer(clients: Clients, emulators: Emulators) -> None:
    chunks = sdk(clients, emulators, STREAM, hello={**HELLO, "max_completion_tokens": 5})
    assert said(chunks) == "Hello from the emulated OpenAI"
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"


def test_a_behaviour_sets_the_length(clients: Clients, emulators: Emulators) -> None:
    emulators.behave(HOST, Behaviour(tokens=100))
    assert len(said(sdk(clients, emulators, STREAM, hello=HELLO)).split(" ")) == 100


def test_a_forced_tool_is_called_with_what_its_schema_requires(clients: Clients, emulators: Emulators) -> None:
    asked = {**HELLO, "tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "weather"}}}
    answer = sdk(clients, emulators, "result = client.chat.completions.create(**hello).to_dict()", hello=asked)
    called = answer["choices"][0]["message"]["tool_calls"][0]["function"]
    assert called == {"name": "weather", "arguments": '{"city":"example","days":1}'}
    assert answer["choices"][0]["finish_reason"] == "tool_calls"


def test_a_tool_call_streams_in_pieces(clients: Clients, emulators: Emulators) -> None:
    emulators.behave(HOST, Behaviour(call_tool=True))
    chunks = sdk(clients, emulators, STREAM, hello={**HELLO, "tools": [TOOL]})
    calls = [call for chunk in chunks for call in chunk["choices"][0]["delta"].get("tool_calls", [])]
    assert "".join(call["function"]["arguments"] for call in calls) == '{"city":"example","days":1}'
    assert [call["function"].get("name") for call in calls][:2] == ["weather", None]


def test_offered_tools_are_left_alone(clients: Clients, emulators: Emulators) -> None:
    assert said(sdk(clients, emulators, STREAM, hello={**HELLO, "tools": [TOOL]})).startswith("Hello")


def test_several_choices(clients: Clients, emulators: Emulators) -> None:
    chunks = sdk(clients, emulators, STREAM, hello={**HELLO, "n": 2})
    assert said(chunks, 0) == said(chunks, 1) != ""


def test_a_stream_that_fails_raises_in_the_sdk(clients: Clients, emulators: Emulators) -> None:
    emulators.behave(HOST, Behaviour(fail_after=3))
    with pytest.raises(ClientProblem, match="server had an error"):
        sdk(clients, emulators, STREAM, hello=HELLO)


def test_the_stream_ends_with_done_and_is_framed_by_data_lines(emulators: Emulators) -> None:
    answer = ask(emulators, "/v1/chat/completions", {**HELLO, "stream": True})
    events = answer.body.decode().split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    assert all(event.startswith("data: ") for event in events[:-1])
    assert (answer.header("content-type") or "").startswith("text/event-stream")


def test_no_tokens_still_opens_the_message(emulators: Emulators) -> None:
    emulators.behave(HOST, Behaviour(tokens=0))
    assert b'"role":"assistant"' in ask(emulators, "/v1/chat/completions", {**HELLO, "stream": True}).body


CALLS = """
with client.chat.completions.stream(**hello) as stream:
    for event in stream:
        pass
    message = stream.get_final_completion().choices[0].message
whole = client.chat.completions.create(**hello).choices[0].message
told = lambda one: [[call.id, call.function.name, call.function.arguments] for call in one.tool_calls]
result = [told(message), told(whole)]
"""


def test_several_calls_at_once_have_ids_of_their_own(clients: Clients, emulators: Emulators) -> None:
    emulators.behave(HOST, Behaviour(call_tool=True, calls=3), times=2)
    other = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}
    for calls in sdk(clients, emulators, CALLS, hello={**HELLO, "tools": [TOOL, other]}):
        assert [call[1] for call in calls] == ["weather", "clock", "weather"]
        assert len({call[0] for call in calls}) == 3
        assert calls[0][2] != calls[2][2]


@pytest.mark.parametrize("more", [{"parallel_tool_calls": False}, {"tool_choice": "none"}])
def test_what_the_request_forbids_is_not_called(emulators: Emulators, more: dict[str, Any]) -> None:
    emulators.behave(HOST, Behaviour(call_tool=True, calls=3))
    message = ask(emulators, "/v1/chat/completions", {**HELLO, "tools": [TOOL], **more}).json()["choices"][0]["message"]
    assert len(message.get("tool_calls", [])) == (0 if "tool_choice" in more else 1)


def test_one_of_the_allowed_tools_is_called(emulators: Emulators) -> None:
    tools = [TOOL, {"type": "function", "function": {"name": "clock"}}]
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "clock"}}]}
    choice = {"type": "allowed_tools", "allowed_tools": allowed}
    answer = ask(emulators, "/v1/chat/completions", {**HELLO, "tools": tools, "tool_choice": choice}).json()
    assert answer["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "clock"


def test_a_schema_is_answered_in_json_that_the_sdk_parses(clients: Clients, emulators: Emulators) -> None:
    code = """
    import pydantic
    class Inner(pydantic.BaseModel):
        count: int
    class Answer(pydantic.BaseModel):
        name: str
        inner: list[Inner]
        maybe: str | None
    whole = client.chat.completions.parse(**hello, response_format=Answer).choices[0].message.parsed
    with client.chat.completions.stream(**hello, response_format=Answer) as stream:
        streamed = stream.get_final_completion().choices[0].message.parsed
    result = [whole.model_dump(), streamed.model_dump()]
    """
    whole, streamed = sdk(clients, emulators, code, hello=HELLO)
    assert whole == streamed == {"name": "example", "inner": [{"count": 1}], "maybe": "example"}


@pytest.mark.parametrize(
    ("more", "tokens"),
    [
        ({}, 0),
        ({"model": "gpt-5", "reasoning_effort": "low"}, 7),
        ({"model": "gpt-5", "reasoning_effort": "none"}, 0),
        ({"model": "gpt-5"}, 7),
    ],
)
def test_thoughts_are_counted_and_never_told(emulators: Emulators, more: dict[str, Any], tokens: int) -> None:
    emulators.behave(HOST, Behaviour(think=True))
    answer = ask(emulators, "/v1/chat/completions", {**HELLO, **more}).json()
    assert answer["usage"]["completion_tokens_details"]["reasoning_tokens"] == tokens
    assert answer["usage"]["completion_tokens"] == 24 + tokens
    assert answer["choices"][0]["message"]["content"].startswith("Hello")


def test_a_prompt_with_a_key_is_read_again(emulators: Emulators) -> None:
    long = {**HELLO, "messages": [{"role": "user", "content": "x" * 400}], "prompt_cache_key": "mine"}
    further = {**long, "messages": [*long["messages"], {"role": "user", "content": "more"}]}
    usages = [ask(emulators, "/v1/chat/completions", one).json()["usage"] for one in (long, further)]
    cached = [usage["prompt_tokens_details"]["cached_tokens"] for usage in usages]
    assert cached[0] == 0
    assert 100 <= cached[1] < usages[1]["prompt_tokens"]
