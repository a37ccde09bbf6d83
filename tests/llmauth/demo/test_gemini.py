"""What a Gemini model says: the same text whole and in pieces, several candidates, and how it ends."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmauth.demo.behaviour import ORDINARY, Behaviour
from llmauth.demo.emulator import Call
from llmauth.demo.gemini import Reply, count
from llmauth.demo.http1 import Request, parse_head
from llmauth.demo.shapes import Mismatch

ASKED: dict[str, Any] = {"contents": [{"parts": [{"text": "hello"}]}]}
HEAD = parse_head(b"POST /x HTTP/1.1\r\nHost: h\r\n\r\n")


def call(body: dict[str, Any], behaviour: Behaviour = ORDINARY) -> Call:
    return Call("h", Request(HEAD, json.dumps(body).encode()), behaviour, 5)


def reply(behaviour: Behaviour = ORDINARY, **more: Any) -> Reply:
    body = {**ASKED, **more}
    return Reply(call(body, behaviour), body, "gemini-x")


def text(answer: dict[str, Any], index: int = 0) -> str:
    mine = [one for one in answer["candidates"] if one["index"] == index]
    return "".join(part["text"] for one in mine for part in one["content"]["parts"])


def test_the_pieces_make_the_whole() -> None:
    for candidates in (1, 2):
        one = reply(generationConfig={"candidateCount": candidates})
        pieces = list(one.chunks())
        for index in range(candidates):
            assert "".join(text(piece, index) for piece in pieces) == text(one.whole(), index)
        bills = [piece["usageMetadata"].get("totalTokenCount") for piece in pieces]
        assert (bills[:-1], bills[-1]) == ([None] * (len(pieces) - 1), one.whole()["usageMetadata"]["totalTokenCount"])


def test_thoughts_are_no_part_of_what_is_said() -> None:
    answer = reply(generationConfig={"thinkingConfig": {"includeThoughts": True}}).whole()
    usage = answer["usageMetadata"]
    assert answer["candidates"][0]["content"]["parts"][0]["thought"] is True
    assert usage["totalTokenCount"] - usage["promptTokenCount"] == 5 + usage["thoughtsTokenCount"]


@pytest.mark.parametrize(("limit", "reason"), [(3, "MAX_TOKENS"), (5, "MAX_TOKENS"), (6, "STOP")])
def test_how_it_ends(limit: int, reason: str) -> None:
    answer = reply(generationConfig={"maxOutputTokens": limit}).whole()
    assert answer["candidates"][0]["finishReason"] == reason
    assert answer["usageMetadata"]["candidatesTokenCount"] == min(limit, 5)


def test_a_stream_that_fails_ends_early() -> None:
    one = reply(Behaviour(fail_after=2))
    assert (len(list(one.chunks())), one.fails) == (2, True)


def test_tokens_are_counted() -> None:
    assert count(call(ASKED), ASKED)["totalTokens"] > 0
    with pytest.raises(Mismatch):
        count(call({}), {})


@pytest.mark.parametrize(
    "config",
    [
        {"responseJsonSchema": {"type": "object", "properties": {"a": {"type": "integer"}}}},
        {"responseSchema": {"type": "OBJECT", "properties": {"a": {"type": "INTEGER"}}}},
    ],
)
def test_a_schema_is_answered_in_json(config: dict[str, Any]) -> None:
    one = reply(generationConfig={"responseMimeType": "application/json", **config})
    assert text(one.whole()) == "".join(map(text, one.chunks())) == '{"a":1}'


def test_functions_may_be_forbidden() -> None:
    tools = [{"functionDeclarations": [{"name": "f"}]}]
    calling = {"functionCallingConfig": {"mode": "NONE"}}
    answer = reply(Behaviour(call_tool=True), tools=tools, toolConfig=calling).whole()
    assert text(answer).startswith("Hello")


def test_a_limit_that_the_thoughts_use_up_leaves_no_text() -> None:
    body = {**ASKED, "generationConfig": {"maxOutputTokens": 5}}
    one = Reply(call(body), body, "gemini-3-pro-preview")
    assert (text(one.whole()), one.whole()["candidates"][0]["finishReason"]) == ("", "MAX_TOKENS")
    assert one.whole()["usageMetadata"]["thoughtsTokenCount"] == 5
    assert [piece["candidates"][0].get("finishReason") for piece in one.chunks()] == ["MAX_TOKENS"]
