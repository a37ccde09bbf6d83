"""Calls and their results in Oracle's formats: by ids, or by what was called."""

from __future__ import annotations

from typing import Any

import pytest

from llmauth.demo.oracle_turns import check_turns
from llmauth.demo.shapes import Mismatch

USER = {"role": "USER", "content": []}
CALLS = {"role": "ASSISTANT", "toolCalls": [{"id": "a"}, {"id": "b"}]}


def answer(to: str) -> dict[str, Any]:
    return {"role": "TOOL", "toolCallId": to, "content": []}


@pytest.mark.parametrize("api_format", ["GENERIC", "COHEREV2"])
@pytest.mark.parametrize(
    ("messages", "path"),
    [
        ([USER], None),
        ([USER, CALLS, answer("b"), answer("a"), USER], None),
        ([USER, CALLS, answer("a")], "chatRequest.messages"),
        ([USER, CALLS, answer("a"), USER, answer("b")], "chatRequest.messages[3]"),
        ([USER, CALLS, answer("a"), answer("a")], "chatRequest.messages[3].toolCallId"),
        ([USER, CALLS, answer("c")], "chatRequest.messages[2].toolCallId"),
        ([USER, answer("a")], "chatRequest.messages[1].toolCallId"),
        ([USER, {"role": "ASSISTANT", "toolCalls": [{"id": "a"}, {"id": "a"}]}], "chatRequest.messages[1].toolCalls"),
    ],
)
def test_every_id_is_answered_once(api_format: str, messages: list[dict[str, Any]], path: str | None) -> None:
    assert_refused({"apiFormat": api_format, "messages": messages}, path)


def assert_refused(request: dict[str, Any], path: str | None) -> None:
    if path is None:
        check_turns(request)
        return
    with pytest.raises(Mismatch) as caught:
        check_turns(request)
    assert caught.value.path == path


def called(city: str) -> dict[str, Any]:
    return {"name": "weather", "parameters": {"city": city, "days": 1}}


def result(city: str) -> dict[str, Any]:
    return {"call": {"name": "weather", "parameters": {"days": 1, "city": city}}, "outputs": [{"output": "sunny"}]}


ASKED = {"role": "CHATBOT", "toolCalls": [called("Paris"), called("Rome")]}
TOLD = {"role": "TOOL", "toolResults": [result("Rome"), result("Paris")]}


@pytest.mark.parametrize(
    ("request_", "path"),
    [
        ({"message": "hello"}, None),
        ({"message": ""}, "chatRequest.message"),
        ({"message": "", "chatHistory": [ASKED], "toolResults": TOLD["toolResults"]}, None),
        ({"message": "x", "chatHistory": [ASKED], "toolResults": TOLD["toolResults"]}, "chatRequest.message"),
        ({"message": "", "chatHistory": [ASKED], "toolResults": [result("Paris")]}, "chatRequest.toolResults"),
        ({"message": "", "toolResults": [result("Paris")]}, "chatRequest.toolResults"),
        ({"message": "and?", "chatHistory": [ASKED, TOLD]}, None),
        ({"message": "and?", "chatHistory": [ASKED]}, "chatRequest.toolResults"),
        ({"message": "and?", "chatHistory": [TOLD]}, "chatRequest.chatHistory[0].toolResults"),
        ({"message": "and?", "chatHistory": [ASKED, {"role": "USER"}]}, "chatRequest.chatHistory[1].toolResults"),
    ],
)
def test_without_ids_a_result_repeats_its_call(request_: dict[str, Any], path: str | None) -> None:
    assert_refused({"apiFormat": "COHERE", **request_}, path)


@pytest.mark.parametrize("name", ["toolChoice", "toolsChoice"])
def test_a_choice_needs_tools(name: str) -> None:
    assert_refused({"apiFormat": "COHEREV2", "messages": [USER], name: "REQUIRED"}, name)
