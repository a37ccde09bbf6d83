"""The Responses API through the official client: whole, as events, with tools, cut by a limit, and failing."""

from __future__ import annotations

from typing import Any

import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from llmauth.demo.openai import HOST
from tests.llmauth.demo.clients import Clients
from tests.llmauth.demo.test_openai import ask, sdk

HELLO: dict[str, Any] = {"model": "gpt-5", "input": "hello"}
TOOL = {
    "type": "function",
    "name": "clock",
    "parameters": {"type": "object", "properties": {"zone": {"enum": ["UTC"]}}},
}
WHOLE = "result = client.responses.create(**hello).to_dict()"
STREAM = """
with client.responses.stream(**hello) as stream:
    events = [event.type for event in stream]
    result = {"events": events, "final": stream.get_final_response().to_dict()}
"""
RAW = "result = [event.to_dict() for event in client.responses.create(stream=True, **hello)]"


def text(answer: dict[str, Any]) -> str:
    return str(answer["output"][0]["content"][0]["text"])


def test_a_whole_answer_passes_strict_validation(clients: Clients, emulators: Emulators) -> None:
    answer = sdk(clients, emulators, WHOLE, hello=HELLO)
    assert answer["status"] == "completed"
    assert text(answer).startswith("Hello from the emulated OpenAI")
    assert answer["usage"]["output_tokens"] == 24


def test_the_stream_helper_rebuilds_the_same_answer(clients: Clients, emulators: Emulators) -> None:
    streamed = sdk(clients, emulators, STREAM, hello=HELLO)
    assert text(streamed["final"]) == text(sdk(clients, emulators, WHOLE, hello=HELLO))
    assert streamed["events"].count("response.output_text.delta") == 24


def test_events_come_in_the_documented_order(clients: Clients, emulators: Emulators) -> None:
    events = sdk(clients, emulators, RAW, hello={**HELLO, "max_output_tokens": 16})
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    kinds = [event["type"] for event in events if event["type"] != "response.output_text.delta"]
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.incomplete",
    ]


def test_a_limit_makes_the_answer_incomplete(clients: Clients, emulators: Emulators) -> None:
    answer = sdk(clients, emulators, WHOLE, hello={**HELLO, "max_output_tokens": 16})
    assert answer["status"] == "incomplete"
    assert answer["incomplete_details"] == {"reason": "max_output_tokens"}


def test_a_forced_tool_is_called(clients: Clients, emulators: Emulators) -> None:
    streamed = sdk(clients, emulators, STREAM, hello={**HELLO, "tools": [TOOL], "tool_choice": "required"})
    (called,) = streamed["final"]["output"]
    assert (called["type"], called["name"], called["arguments"]) == ("function_call", "clock", '{"zone":"UTC"}')
    assert "response.function_call_arguments.delta" in streamed["events"]


def test_a_stream_that_fails_ends_with_an_error_event(clients: Clients, emulators: Emulators) -> None:
    emulators.behave(HOST, Behaviour(fail_after=2))
    events = sdk(clients, emulators, RAW, hello=HELLO)
    assert events[-1]["type"] == "error"
    assert [event["type"] for event in events].count("response.output_text.delta") == 2


@pytest.mark.parametrize("body", [{"model": "gpt-5"}, {**HELLO, "messages": []}, {**HELLO, "max_output_tokens": 1}])
def test_the_wrong_shape_is_refused(emulators: Emulators, body: dict[str, Any]) -> None:
    assert ask(emulators, "/v1/responses", body).status == 400


def test_several_calls_are_items_of_their_own(clients: Clients, emulators: Emulators) -> None:
    emulators.behave(HOST, Behaviour(call_tool=True, calls=2), times=2)
    asked = {**HELLO, "tools": [TOOL]}
    streamed, whole = sdk(clients, emulators, STREAM, hello=asked)["final"], sdk(clients, emulators, WHOLE, hello=asked)
    for answer in (streamed, whole):
        assert [item["type"] for item in answer["output"]] == ["function_call"] * 2
        assert len({item["call_id"] for item in answer["output"]}) == 2
    emulators.behave(HOST, Behaviour(call_tool=True, calls=2))
    one = sdk(clients, emulators, WHOLE, hello={**asked, "parallel_tool_calls": False})
    assert (len(one["output"]), one["parallel_tool_calls"]) == (1, False)


def test_a_schema_is_answered_and_thoughts_are_counted(emulators: Emulators) -> None:
    emulators.behave(HOST, Behaviour(think=True))
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    asked = {**HELLO, "text": {"format": {"type": "json_schema", "name": "n", "schema": schema}}}
    answer = ask(emulators, "/v1/responses", asked).json()
    assert text(answer) == '{"a":1}'
    assert answer["usage"]["output_tokens_details"] == {"reasoning_tokens": 7}
    assert answer["usage"]["output_tokens"] == 7 + 2


def test_a_prompt_with_a_key_is_read_again(emulators: Emulators) -> None:
    asked = {**HELLO, "input": "x" * 400, "prompt_cache_key": "mine"}
    usages = [ask(emulators, "/v1/responses", asked).json()["usage"] for _ in range(2)]
    cached = [usage["input_tokens_details"]["cached_tokens"] for usage in usages]
    assert (cached[0], cached[1] >= 100) == (0, True)
