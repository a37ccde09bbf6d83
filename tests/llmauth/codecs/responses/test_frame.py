"""The response object tells what was asked, and invents nothing."""

import json

import pytest

from llmauth.chat.messages import ChatRequest, Message, Text
from llmauth.chat.words import Word
from llmauth.codecs.responses.frame import Frame
from llmauth.codecs.responses.request import parse
from tests.golden.responses import golden


def told(**members):
    request = parse(json.dumps({"model": "m", "input": "hi", **members}).encode())
    return Frame(golden.answering(request)).told("completed", [])


@pytest.mark.parametrize(
    "members",
    [
        {"instructions": "Be brief."},
        {"max_output_tokens": 5, "temperature": 0.5, "top_p": 0.5, "top_logprobs": 2},
        {"metadata": {"a": "b"}, "truncation": "auto"},
        {"user": "u"},
        {"safety_identifier": "s"},
        {"prompt_cache_key": "k", "prompt_cache_retention": "24h"},
        {"text": {"format": {"type": "json_object"}, "verbosity": "low"}},
        {"reasoning": {"effort": "low", "summary": "auto"}},
        {"tools": [{"type": "function", "name": "f", "description": None, "parameters": {"a": 1}, "strict": True}]},
    ],
)
def test_settings_come_back(members):
    found = told(**members)
    assert {name: found[name] for name in members} == members


def test_what_was_not_said():
    found = told()
    assert found["id"] == "resp_golden"
    assert found["store"] is False
    assert found["parallel_tool_calls"] is True
    assert (found["temperature"], found["user"], found["safety_identifier"], found["usage"]) == (None,) * 4


def test_what_lies_in_the_conversation_is_told_once():
    """Only the first instruction: everything else is the client's own input."""
    assert told(input=[{"role": "user", "content": "hi"}, {"role": "system", "content": "x"}])["instructions"] is None
    empty = ChatRequest(model="m", messages=())
    assert Frame(golden.answering(empty)).told("failed", [])["instructions"] is None


@pytest.mark.parametrize(("tier", "expected"), [("flex", "flex"), ("standard_only", None), (None, None)])
def test_tiers_are_a_closed_set(tier, expected):
    request = ChatRequest(model="m", messages=(Message("user", (Text("hi"),)),), parameters={Word.USER: "x"})
    assert Frame(golden.answering(request)).told("completed", [], service_tier=tier)["service_tier"] == expected
