"""Whole answers as OpenAI's clients read them."""

import json

import pytest

from llmauth.chat.messages import (
    ChatResponse,
    Choice,
    Citation,
    Finish,
    Redacted,
    Refusal,
    Signature,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from llmauth.chat.words import Word
from llmauth.codecs.openai.response import FINISH_REASONS, render_response
from tests.golden.cases import answered
from tests.llmauth.codecs.openai.samples import answering


def body_of(response, **more):
    return json.loads(render_response(response, answering(**more)))


def choice_of(*parts, finish=Finish.STOP, **more):
    return body_of(answered(*parts, finish=finish), **more)["choices"][0]


def test_every_end_has_a_word_of_the_closed_set():
    assert set(FINISH_REASONS) == set(Finish)
    assert set(FINISH_REASONS.values()) == {"stop", "length", "tool_calls", "content_filter"}


def test_the_bill():
    body = body_of(answered("Hi", usage=Usage(input=10, cache_read=200, cache_write=50, output=5, reasoning=2)))
    assert body["usage"] == {
        "prompt_tokens": 260,
        "completion_tokens": 5,
        "total_tokens": 265,
        "prompt_tokens_details": {"cached_tokens": 200, "cache_write_tokens": 50},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }


def test_what_was_not_told_is_not_made_up():
    response = ChatResponse(id="", model="", choices=(Choice(parts=(), finish=Finish.STOP),), service_tier="odd")
    assert set(body_of(response)) == {"id", "object", "created", "model", "choices"}


def test_arguments_are_never_empty():
    calls = choice_of(ToolCall("c", "f", ""), finish=Finish.TOOL_CALLS)["message"]["tool_calls"]
    assert calls[0]["function"]["arguments"] == "{}"


def test_the_signature_of_a_call():
    calls = [ToolCall("c", "f", "{}", Signature("gemini", "s")), ToolCall("d", "g", "{}", Signature("anthropic", "s"))]
    told = choice_of(*calls, finish=Finish.TOOL_CALLS)["message"]["tool_calls"]
    assert [call["extra_content"] for call in told] == [
        {"google": {"thought_signature": "s"}},
        {"google": {"thought_signature": "llmauth.anthropic.s"}},
    ]


def test_thinking():
    parts = [Thinking("a"), Thinking("b", Signature("anthropic", "s")), Redacted(Signature("openai", "r")), "c"]
    message = choice_of(*parts)["message"]
    assert (message["content"], message["reasoning_content"]) == ("c", "ab")
    assert message["thinking_blocks"] == [
        {"type": "thinking", "thinking": "a"},
        {"type": "thinking", "thinking": "b", "signature": "llmauth.anthropic.s"},
        {"type": "redacted_thinking", "data": "r"},
    ]
    assert "thinking_blocks" not in choice_of(Thinking("a"), "c")["message"]


def test_sources_are_counted_in_the_text_as_a_whole():
    cited = Text("defg", citations=(Citation("https://e.com", "t", 1, 2), Citation("https://f.com")))
    message = choice_of("abc", cited)["message"]
    assert message["content"] == "abcdefg"
    assert [(a["url_citation"]["start_index"], a["url_citation"]["end_index"]) for a in message["annotations"]] == [
        (4, 5),
        (3, 7),
    ]


def test_a_refusal():
    choice = choice_of(Refusal("No."), finish=Finish.REFUSAL)
    assert (choice["message"]["content"], choice["message"]["refusal"]) == (None, "No.")
    assert choice["finish_reason"] == "content_filter"


def test_the_words_of_2023():
    calls = [ToolCall("c", "f", ""), ToolCall("d", "g", "{}")]
    choice = choice_of(*calls, finish=Finish.TOOL_CALLS, spelling={Word.TOOLS: "functions"})
    assert choice["finish_reason"] == "function_call"
    assert choice["message"]["function_call"] == {"name": "f", "arguments": "{}"}
    assert "tool_calls" not in choice["message"]


@pytest.mark.parametrize("text", ["\ud800", '\u2028\x00"\\', "ü"])
def test_any_text_is_json(text):
    assert choice_of(text)["message"]["content"] == text
