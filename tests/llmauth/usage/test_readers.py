"""What each provider writes of its tokens, in the words of its documentation."""

from __future__ import annotations

from typing import Any

import pytest

from llmauth.chat.messages import Usage
from llmauth.usage import readers
from llmauth.usage.readers import Reader
from llmauth.usage.told import folded
from tests.llmauth.usage.answers import tokens

CHAT = {
    "prompt_tokens": 2006,
    "completion_tokens": 300,
    "total_tokens": 2306,
    "prompt_tokens_details": {"cached_tokens": 1920, "cache_write_tokens": 30, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 192, "audio_tokens": 0},
}
RESPONSES = {
    "input_tokens": 75,
    "input_tokens_details": {"cached_tokens": 5},
    "output_tokens": 1186,
    "output_tokens_details": {"reasoning_tokens": 1024},
    "total_tokens": 1261,
}
MESSAGES = {
    "input_tokens": 21,
    "cache_creation_input_tokens": 188086,
    "cache_read_input_tokens": 100,
    "cache_creation": {"ephemeral_5m_input_tokens": 188086, "ephemeral_1h_input_tokens": 0},
    "output_tokens": 393,
    "output_tokens_details": {"thinking_tokens": 90},
}
CONVERSE = {
    "inputTokens": 30,
    "outputTokens": 628,
    "totalTokens": 671,
    "cacheReadInputTokens": 10,
    "cacheWriteInputTokens": 3,
}
GEMINI = {
    "promptTokenCount": 1000,
    "cachedContentTokenCount": 800,
    "toolUsePromptTokenCount": 50,
    "candidatesTokenCount": 20,
    "thoughtsTokenCount": 30,
    "totalTokenCount": 1100,
}
ORACLE = {
    "promptTokens": 100,
    "completionTokens": 50,
    "totalTokens": 150,
    "promptTokensDetails": {"cachedTokens": 40},
    "completionTokensDetails": {"reasoningTokens": 20},
}
METRICS = {
    "amazon-bedrock-invocationMetrics": {
        "inputTokenCount": 9,
        "outputTokenCount": 40,
        "cacheReadInputTokenCount": 5,
        "invocationLatency": 42,
    }
}
THINKING = {"usage": {"output_tokens_details": {"thinking_tokens": 12}}}


def read(reader: Reader, *values: dict[str, Any]) -> tuple[Usage | None, bool]:
    return folded(told for value in values if (told := reader(value)) is not None)


@pytest.mark.parametrize(
    ("reader", "value", "usage"),
    [
        (readers.openai, {"usage": CHAT}, tokens(56, 300, read=1920, write=30, reasoning=192)),
        (readers.openai, {"usage": RESPONSES}, tokens(70, 1186, read=5, reasoning=1024)),
        (
            readers.openai,
            {"type": "response.incomplete", "response": {"usage": RESPONSES}},
            tokens(70, 1186, read=5, reasoning=1024),
        ),
        (readers.openai, {"object": "list", "usage": {"prompt_tokens": 8, "total_tokens": 8}}, tokens(8, 0)),
        (readers.openai, {"data": [], "usage": {"input_tokens": 50, "output_tokens": 4160}}, tokens(50, 4160)),
        (readers.messages, {"usage": MESSAGES}, tokens(21, 393, read=100, write=188086, reasoning=90)),
        (readers.converse, {"usage": CONVERSE}, tokens(30, 628, read=10, write=3)),
        (
            readers.converse,
            {"usage": CONVERSE, "additionalModelResponseFields": THINKING},
            tokens(30, 628, read=10, write=3, reasoning=12),
        ),
        (readers.invoke, {"usage": MESSAGES}, tokens(21, 393, read=100, write=188086, reasoning=90)),
        (readers.invoke, {"usage": CONVERSE}, tokens(30, 628, read=10, write=3)),
        (readers.invoke, {"usage": CHAT}, tokens(56, 300, read=1920, write=30, reasoning=192)),
        (readers.invoke, {"metadata": {"usage": CONVERSE}}, tokens(30, 628, read=10, write=3)),
        (
            readers.invoke,
            {"inputTextTokenCount": 5, "results": [{"tokenCount": 7}, {"tokenCount": 2}]},
            tokens(5, 9),
        ),
        (readers.invoke, {"embedding": [0.1], "inputTextTokenCount": 5}, tokens(5, 0)),
        (readers.invoke, {"generation": "a", "prompt_token_count": 5, "generation_token_count": 7}, tokens(5, 7)),
        (readers.gemini, {"usageMetadata": GEMINI}, tokens(250, 50, read=800, reasoning=30)),
        (
            readers.gemini,
            {"usageMetadata": {"promptTokenCount": 4, "thoughtsTokenCount": 3}},
            tokens(4, 3, reasoning=3),
        ),
        (readers.watsonx, {"usage": CHAT}, tokens(56, 300, read=1920, write=30, reasoning=192)),
        (readers.watsonx, {"results": [{"embedding": []}], "input_token_count": 9}, tokens(9, 0)),
        (
            readers.watsonx,
            {"results": [{"input_token_count": 3, "generated_token_count": 6, "stop_reason": "eos_token"}]},
            tokens(3, 6),
        ),
        (readers.oracle, {"modelId": "a", "chatResponse": {"usage": ORACLE}}, tokens(60, 50, read=40, reasoning=20)),
        (readers.oracle, {"usage": ORACLE, "pad": "aa"}, tokens(60, 50, read=40, reasoning=20)),
    ],
)
def test_a_whole_answer(reader: Reader, value: dict[str, Any], usage: Usage) -> None:
    told = reader(value)
    assert told is not None
    assert folded([told])[0] == usage


def test_anthropic_counts_cumulatively() -> None:
    start = {"type": "message_start", "message": {"usage": {"input_tokens": 25, "output_tokens": 1}}}
    searched = {
        "type": "message_delta",
        "usage": {"input_tokens": 10682, "output_tokens": 510, "cache_read_input_tokens": 0},
    }
    assert read(readers.messages, start) == (tokens(25, 1), False)
    assert read(readers.messages, start, {"type": "message_delta", "usage": {"output_tokens": 15}}) == (
        tokens(25, 15),
        True,
    )
    assert read(readers.messages, start, searched) == (tokens(10682, 510), True)


def test_bedrocks_own_count_fills_what_a_model_does_not_tell() -> None:
    start = {"type": "message_start", "message": {"usage": {"input_tokens": 8, "output_tokens": 1}}}
    delta = {"type": "message_delta", "usage": {"output_tokens": 39}}
    stop = {"type": "message_stop", **METRICS}
    assert read(readers.invoke, start, delta, stop) == (tokens(8, 39, read=5), True)
    assert read(readers.invoke, {"outputs": [{"text": "a"}], **METRICS}) == (tokens(9, 40, read=5), True)
    piece = {"outputText": "a", "inputTextTokenCount": 9, "totalOutputTextTokenCount": None, "completionReason": None}
    assert read(readers.invoke, piece) == (tokens(9, 0), False)
    assert read(readers.invoke, piece, {**piece, "completionReason": "FINISHED", **METRICS}) == (
        tokens(9, 40, read=5),
        True,
    )


@pytest.mark.parametrize(
    ("reader", "value"),
    [
        (readers.openai, {"choices": [{"delta": {"content": "a"}, "finish_reason": None}], "usage": CHAT}),
        (readers.gemini, {"candidates": [{"content": {}}], "usageMetadata": GEMINI}),
        (readers.watsonx, {"results": [{"generated_token_count": 1, "stop_reason": "not_finished"}]}),
    ],
)
def test_a_count_in_the_middle_is_not_final(reader: Reader, value: dict[str, Any]) -> None:
    told = reader(value)
    assert told is not None
    assert not told.final


def test_a_blocked_prompt_is_told_at_once() -> None:
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}}
    assert read(readers.gemini, blocked) == (tokens(4, 0), True)


ALL = [getattr(readers, name) for name in ("openai", "messages", "converse", "invoke", "gemini", "watsonx", "oracle")]


@pytest.mark.parametrize("reader", ALL)
@pytest.mark.parametrize(
    "value",
    [
        {},
        {"usage": None, "usageMetadata": None, "response": None, "message": None},
        {"usage": 7, "usageMetadata": "a", "response": [], "chatResponse": [], "results": 7, "metadata": 7},
        {"usage": {}, "usageMetadata": {}, "results": [], "choices": [None], "candidates": [None]},
        {"usage": {"prompt_tokens": "7", "inputTokens": [], "input_tokens": True, "promptTokens": -1}},
        {"type": "message_start", "message": 7, "results": [None, 7], "additionalModelResponseFields": []},
        {"error": {"message": "no"}},
    ],
)
def test_what_tells_nothing_is_none(reader: Reader, value: dict[str, Any]) -> None:
    assert reader(value) is None
