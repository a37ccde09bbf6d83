"""Streams as OpenAI's clients read them, chunk by chunk."""

import json

import pytest

from llmauth.chat.events import (
    ArgumentsDelta,
    CallStarted,
    Cited,
    Failed,
    Finished,
    LogprobsDelta,
    RedactedThinking,
    Started,
    TextDelta,
    TextSigned,
    ThinkingDelta,
    ThinkingSigned,
    UsageTold,
)
from llmauth.chat.messages import Citation, Finish, Signature, Usage
from llmauth.chat.words import Word
from llmauth.codecs.openai.stream import ChatStreamEncoder
from llmauth.errors import BrokenAnswer, UpstreamError
from tests.llmauth.codecs.openai.samples import answering, chunks

ROLE = {"role": "assistant", "content": ""}
DONE = "[DONE]"


def written(*events, close=True, **more):
    encoder = ChatStreamEncoder(answering(**more))
    told = b"".join(map(encoder.encode, events))
    return chunks(told + encoder.close() if close else told)


def deltas(*events, **more):
    """The deltas before the end."""
    told = written(Started("x", "y"), *events, Finished(Finish.STOP), **more)
    return [chunk["choices"][0]["delta"] for chunk in told if chunk != DONE and chunk["choices"]][1:-1]


def test_every_chunk_has_the_same_frame():
    told = written(Started("x", "y"), TextDelta("Hi"), Finished(Finish.STOP), UsageTold(Usage(input=1, output=2)))
    assert told.pop() == DONE
    frames = [{name: chunk[name] for name in ("id", "object", "created", "model")} for chunk in told]
    assert frames == [
        {"id": "chatcmpl-golden", "object": "chat.completion.chunk", "created": 1760000000, "model": "golden-model"}
    ] * len(told)


def test_usage_that_was_asked_for_comes_last():
    told = written(
        Started(), UsageTold(Usage(input=1)), TextDelta("Hi"), Finished(Finish.LENGTH), UsageTold(Usage(output=2))
    )
    assert [chunk["usage"] for chunk in told[:-2]] == [None] * 3
    assert told[-2]["choices"] == []
    assert told[-2]["usage"]["completion_tokens"] == 2
    assert told[-3]["choices"] == [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "length"}]


def test_usage_that_nobody_asked_for_is_not_told():
    told = written(Started(), TextDelta("Hi"), Finished(Finish.STOP), UsageTold(Usage(input=1)), include_usage=False)
    assert len(told) == 4
    assert not [chunk for chunk in told[:-1] if "usage" in chunk]


def test_each_choice_begins_with_its_role():
    told = written(Started(), TextDelta("a"), TextDelta("b", 1), Finished(Finish.STOP), Finished(Finish.STOP, None, 1))
    assert [(c["choices"][0]["index"], c["choices"][0]["delta"]) for c in told[:-1]] == [
        (0, ROLE),
        (0, {"content": "a"}),
        (1, ROLE),
        (1, {"content": "b"}),
        (0, {}),
        (1, {}),
    ]


def test_calls_are_named_once_and_have_arguments():
    calls = deltas(CallStarted(0, "c", "f"), CallStarted(1, "d", "g", Signature("gemini", "s")), ArgumentsDelta(1, "{"))
    begun = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}
    second = {"index": 1, "id": "d", "type": "function", "function": {"name": "g", "arguments": ""}}
    second["extra_content"] = {"google": {"thought_signature": "s"}}
    assert calls == [
        {"tool_calls": [begun]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]},
        {"tool_calls": [second]},
        {"tool_calls": [{"index": 1, "function": {"arguments": "{"}}]},
    ]
    assert deltas(CallStarted(0, "c", "f"))[-1] == {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}


def test_thinking_and_its_block():
    told = deltas(
        ThinkingDelta("lost"),
        TextDelta("a"),
        ThinkingDelta("b"),
        ThinkingDelta("c"),
        ThinkingSigned(Signature("anthropic", "s")),
        RedactedThinking(Signature("openai", "r")),
    )
    assert told[2:] == [
        {"reasoning_content": "b"},
        {"reasoning_content": "c"},
        {"thinking_blocks": [{"type": "thinking", "thinking": "bc", "signature": "llmauth.anthropic.s"}]},
        {"thinking_blocks": [{"type": "redacted_thinking", "data": "r"}]},
    ]


def test_sources():
    told = deltas(TextDelta("abc"), Cited(Citation("https://e.com")))[1]["annotations"][0]["url_citation"]
    assert told == {"start_index": 0, "end_index": 3, "url": "https://e.com", "title": ""}


def test_log_probabilities():
    token = {"token": "a", "logprob": -1.0, "bytes": None, "top_logprobs": []}
    told = written(Started(), TextDelta("a"), LogprobsDelta((token,)), Finished(Finish.STOP))
    assert told[2]["choices"][0]["logprobs"] == {"content": [token], "refusal": None}


def test_what_has_no_place_writes_nothing():
    assert deltas(TextSigned(Signature("gemini", "s"))) == []


def test_a_failure_is_the_last_thing_told():
    told = written(Started(), TextDelta("a"), Failed(UpstreamError("No room.", cause="overloaded")), TextDelta("b"))
    assert told[-1] == {"error": {"message": "No room.", "type": "server_error", "param": None, "code": "overloaded"}}
    assert DONE not in told


def test_a_failure_at_once():
    told = written(Failed(BrokenAnswer("Cut.")))
    assert [chunk["error"]["code"] for chunk in told] == ["provider_answer_broken"]


def test_no_last_words_without_an_end():
    assert DONE not in written(Started(), TextDelta("a"))


def test_the_words_of_2023():
    events = [CallStarted(0, "c", "f"), ArgumentsDelta(0, "{}"), CallStarted(1, "d", "g"), ArgumentsDelta(1, "[]")]
    told = written(Started(), *events, Finished(Finish.TOOL_CALLS), spelling={Word.TOOLS: "functions"})
    assert [chunk["choices"][0]["delta"] for chunk in told[1:-1]] == [
        {"function_call": {"name": "f", "arguments": ""}},
        {"function_call": {"arguments": "{}"}},
        {},
    ]
    assert told[-2]["choices"][0]["finish_reason"] == "function_call"


@pytest.mark.parametrize("text", ["\ud83d", '\u2028\r\n\x00"\\', "data: [DONE]\n\n", "ü😀"])
def test_no_text_breaks_the_frame(text):
    """Nothing that a model says can end a line: a client would read what follows as the gateway's own words."""
    encoder = ChatStreamEncoder(answering())
    encoder.encode(Started())
    data = encoder.encode(TextDelta(text))
    assert data.count(b"\n") == 2
    assert b"\r" not in data
    assert json.loads(data.removeprefix(b"data: "))["choices"][0]["delta"] == {"content": text}
