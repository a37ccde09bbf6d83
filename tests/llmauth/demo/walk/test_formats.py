"""A provider's own format is known from another's, and whatever is not as it must be is told."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from llmauth.demo.walk import formats
from llmauth.demo.walk.formats import Format, Wanted, faults
from tests.llmauth.demo.walk.samples import recorded

HI = "Who are you?"
CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": HI}]}
CONVERSE = {"messages": [{"role": "user", "content": [{"text": HI}]}]}
INVOKE = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": CHAT["messages"]}
GEMINI = {"contents": [{"role": "user", "parts": [{"text": HI}]}]}
OWN: dict[str, tuple[Format, dict[str, Any]]] = {
    "chat": (formats.OPENAI_CHAT, CHAT),
    "converse": (formats.CONVERSE, CONVERSE),
    "invoke": (formats.INVOKE_MODEL, INVOKE),
    "gemini": (formats.GEMINI, GEMINI),
}


def wanted(shape: Format, words: str = HI) -> Wanted:
    place = {"host": "api.openai.com", "target": "/v1/chat/completions"}
    return Wanted(instance="openai", **place, format=shape, words=words)


def found(shape: Format, body: object, words: str = HI) -> list[str]:
    return list(faults(wanted(shape, words), recorded(body=json.dumps(body).encode())))


@pytest.mark.parametrize("name", OWN)
def test_its_own_format_has_no_fault_and_every_other_has(name: str) -> None:
    shape = OWN[name][0]
    assert {other: bool(found(shape, body)) for other, (_, body) in OWN.items()} == {
        other: other != name for other in OWN
    }


def test_what_is_missing_and_what_is_foreign_is_named() -> None:
    missing, foreign, words = found(formats.CONVERSE, GEMINI)
    assert missing == "the provider received no messages, which Bedrock Converse needs"
    assert foreign == "the provider received contents, which Bedrock Converse does not have"
    assert words == "the caller's words are not where Bedrock Converse has them"


@pytest.mark.parametrize(
    "content", [HI, [], [{"text": "Who am I?"}], [{"text": HI}, {"text": "and more"}], [{"image": {}}], None]
)
def test_other_words_are_told(content: object) -> None:
    body = {"messages": [{"role": "user", "content": content}]}
    assert found(formats.CONVERSE, body) == ["the caller's words are not where Bedrock Converse has them"]


def test_the_result_of_a_tool_must_answer_its_call() -> None:
    def told(result_of: str) -> list[str]:
        called = {"toolUse": {"toolUseId": "t1", "name": "get_weather", "input": {}}}
        result = {"toolResult": {"toolUseId": result_of, "content": [{"text": "18 degrees"}]}}
        turns = [
            *CONVERSE["messages"],
            {"role": "assistant", "content": [called]},
            {"role": "user", "content": [result]},
        ]
        return found(formats.CONVERSE_WITH_RESULT, {"messages": turns, "toolConfig": {}}, "18 degrees")

    assert told("t1") == []
    assert told("t2") == ["the caller's words are not where Bedrock Converse has them"]


def test_another_address_is_told() -> None:
    record = recorded(body=json.dumps(CHAT).encode())
    elsewhere = replace(wanted(formats.OPENAI_CHAT), host="eu.api.openai.com", target="/v1/responses")
    assert list(faults(elsewhere, record)) == [
        "api.openai.com received it instead of eu.api.openai.com",
        "the provider received it at /v1/chat/completions instead of /v1/responses",
    ]


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff"])
def test_what_is_no_json_object_is_told(body: bytes) -> None:
    assert list(faults(wanted(formats.CONVERSE), recorded(body=body))) == ["the provider received no JSON object"]
