"""Who said what: roles, calls and their results, thinking that comes back, and the words of 2023."""

import time

import pytest

from llmauth.chat.messages import (
    Cache,
    Data,
    Image,
    Message,
    Redacted,
    Refusal,
    Signature,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from llmauth.errors import UnsupportedParameter
from tests.golden.cases import PNG
from tests.llmauth.codecs.openai.samples import messages, refused

HI = {"role": "user", "content": "Hi"}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}


def of_assistant(**members):
    return messages(HI, {"role": "assistant", **members})[1].parts


def test_roles_are_kept_apart():
    told = messages(
        {"role": "system", "content": "a"}, {"role": "developer", "content": [{"type": "text", "text": "b"}]}
    )
    assert [(message.role, message.parts) for message in told] == [
        ("system", (Text("a"),)),
        ("developer", (Text("b"),)),
    ]


def test_speakers():
    assert messages({"role": "user", "content": "Hi", "name": "ann"}) == (Message("user", (Text("Hi"),), "ann"),)


@pytest.mark.parametrize(
    ("members", "parts"),
    [
        ({}, ()),
        ({"content": None}, ()),
        ({"content": ""}, ()),
        ({"content": "a"}, (Text("a"),)),
        ({"content": [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "b"}]}, (Text("a"), Refusal("b"))),
        ({"content": None, "refusal": "b"}, (Refusal("b"),)),
        ({"content": None, "tool_calls": [CALL]}, (ToolCall("c1", "f", ""),)),
        (
            {"content": "a", "tool_calls": [CALL], "audio": None, "annotations": []},
            (Text("a"), ToolCall("c1", "f", "")),
        ),
    ],
    ids=str,
)
def test_what_an_assistant_said(members, parts):
    assert of_assistant(**members) == parts


def test_thinking_comes_back_from_blocks_first():
    blocks = [
        {"type": "thinking", "thinking": "a", "signature": "sig"},
        {"type": "thinking", "thinking": "b", "signature": "llmauth.anthropic.sig"},
        {"type": "redacted_thinking", "data": "llmauth.bedrock.data"},
    ]
    assert of_assistant(content="c", reasoning_content="other", thinking_blocks=blocks) == (
        Thinking("a", Signature("openai", "sig")),
        Thinking("b", Signature("anthropic", "sig")),
        Redacted(Signature("bedrock", "data")),
        Text("c"),
    )
    assert of_assistant(content="c", reasoning_content="a", thinking_blocks=[]) == (Thinking("a"), Text("c"))


def test_the_signature_of_a_call_is_google_s():
    call = {**CALL, "extra_content": {"google": {"thought_signature": "sig"}}, "cache_control": {"type": "ephemeral"}}
    assert of_assistant(tool_calls=[call]) == (ToolCall("c1", "f", "", Signature("gemini", "sig"), Cache()),)


def test_results_that_follow_each_other_are_one_message():
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    told = messages(
        HI,
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "a"},
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "b"}, picture]},
        {"role": "tool", "tool_call_id": "c3", "content": "", "cache_control": {"type": "ephemeral"}},
        HI,
        {"role": "tool", "tool_call_id": "c4", "content": "d"},
    )
    assert [message.role for message in told] == ["user", "assistant", "tool", "user", "tool"]
    assert told[2].parts == (
        ToolResult("c1", (Text("a"),)),
        ToolResult("c2", (Text("b"), Image(Data("image/png", PNG)))),
        ToolResult("c3", (), cache=Cache()),
    )


def test_the_words_of_2023():
    told = messages(
        HI,
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "a"},
    )
    assert told[1].parts == (ToolCall("call_function_1", "f", "{}"),)
    assert told[2] == Message("tool", (ToolResult("call_function_1", (Text("a"),)),))


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"content": "Hi"}, "role"),
        ({"role": "robot", "content": "Hi"}, "role"),
        ({"role": "user"}, "content"),
        ({"role": "system", "content": [{"type": "image_url"}]}, "content[0].type"),
        ({"role": "tool", "content": "a"}, "tool_call_id"),
        ({"role": "tool", "tool_call_id": "c1"}, "content"),
        ({"role": "function", "name": "g", "content": "a"}, "name"),
        ({"role": "assistant", "content": [{"type": "image_url"}]}, "content[0].type"),
        ({"role": "assistant", "tool_calls": [{"type": "function", "function": {"name": "f"}}]}, "tool_calls[0].id"),
        ({"role": "assistant", "tool_calls": [{"id": "c", "function": {}}]}, "tool_calls[0].function.name"),
        ({"role": "assistant", "thinking_blocks": [{"type": "dream"}]}, "thinking_blocks[0].type"),
        ({"role": "assistant", "reasoning_content": 3}, "reasoning_content"),
    ],
    ids=str,
)
def test_a_fault_is_named_by_its_place(message, param):
    assert refused(messages=[message]).param == f"messages[0].{param}"


@pytest.mark.parametrize(
    ("member", "param"),
    [
        ({"audio": {"id": "audio_1"}}, "messages[0].audio"),
        ({"tool_calls": [{"id": "c", "type": "custom", "custom": {}}]}, "messages[0].tool_calls[0].type"),
    ],
)
def test_what_only_openai_can_read_is_refused_by_name(member, param):
    error = refused(messages=[{"role": "assistant", **member}])
    assert isinstance(error, UnsupportedParameter)
    assert error.param == param


def test_calls_of_2023_have_ids_of_their_own():
    call = {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}
    result = {"role": "function", "name": "f", "content": "a"}
    told = messages(HI, *([call, result] * 3))
    calls = [message.parts[0].id for message in told if message.role == "assistant"]
    assert calls == [message.parts[0].call_id for message in told if message.role == "tool"]
    assert len(set(calls)) == 3


def test_many_results_are_gathered_in_no_time():
    """A body of a megabyte must not cost seconds: each result was once copied with all before it."""
    result = {"role": "tool", "tool_call_id": "c", "content": "a"}
    begun = time.process_time()
    assert len(messages(HI, *([result] * 30_000))[1].parts) == 30_000
    assert time.process_time() - begun < 2.5
