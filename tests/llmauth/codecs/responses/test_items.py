"""Input items to turns."""

import pytest

from llmauth.chat.messages import (
    Data,
    Document,
    Image,
    Link,
    Message,
    Redacted,
    Signature,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from llmauth.codecs.reading import Malformed, Node
from llmauth.codecs.responses.items import turns
from llmauth.errors import UnsupportedParameter


def read(*items):
    return turns(Node(list(items), "input"))


def test_an_agent_s_turns():
    """What one answer said is one turn, and so are the results of its calls."""
    said = read(
        {"role": "user", "content": "Weather?"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "llmauth.anthropic.c2ln"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Let me look."}]},
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "b", "name": "g", "arguments": ""},
        {"type": "function_call_output", "call_id": "a", "output": "1"},
        {"type": "function_call_output", "call_id": "b", "output": "2"},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "So."}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": ""},
    )
    assert said == (
        Message("user", (Text("Weather?"),)),
        Message(
            "assistant",
            (
                Thinking("", Signature("anthropic", "c2ln")),
                Text("Let me look."),
                ToolCall("a", "f", "{}"),
                ToolCall("b", "g", ""),
            ),
        ),
        Message("tool", (ToolResult("a", (Text("1"),)), ToolResult("b", (Text("2"),)))),
        Message("assistant", (Thinking("So."), ToolCall("c", "f", "{}"))),
        Message("tool", (ToolResult("c", (Text(""),)),)),
    )


def test_turns_of_the_user_stay_apart():
    assert len(read({"role": "user", "content": "a"}, {"role": "user", "content": "b"})) == 2


def test_a_result_may_hold_pictures_and_files():
    (message,) = read(
        {
            "type": "function_call_output",
            "call_id": "a",
            "output": [
                {"type": "input_text", "text": "see"},
                {"type": "input_image", "image_url": "https://e.com/a.png"},
                {"type": "input_file", "file_data": "data:application/pdf;base64,QQ=="},
            ],
        }
    )
    (result,) = message.parts
    assert result == ToolResult(
        "a", (Text("see"), Image(Link("https://e.com/a.png")), Document(Data("application/pdf", "QQ==")))
    )


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (
            {"summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}]},
            Thinking("a\n\nb"),
        ),
        (
            {
                "summary": [{"type": "summary_text", "text": "a"}],
                "content": [{"type": "reasoning_text", "text": "all"}],
            },
            Thinking("all"),
        ),
        ({"summary": [], "encrypted_content": "gAAA"}, Redacted(Signature("openai", "gAAA"))),
    ],
)
def test_reasoning(item, expected):
    assert read({"type": "reasoning", **item}) == (Message("assistant", (expected,)),)


def test_reasoning_that_says_nothing_is_none():
    assert read({"type": "reasoning", "summary": []}, {"role": "user", "content": "a"}) == (
        Message("user", (Text("a"),)),
    )


@pytest.mark.parametrize(
    "kind",
    [
        "item_reference",
        "web_search_call",
        "file_search_call",
        "computer_call",
        "computer_call_output",
        "custom_tool_call",
        "custom_tool_call_output",
        "local_shell_call",
        "shell_call_output",
        "mcp_call",
        "mcp_approval_response",
        "image_generation_call",
        "code_interpreter_call",
        "compaction",
        "additional_tools",
        "made_up",
    ],
)
def test_items_of_what_openai_runs_or_keeps_are_refused_by_name(kind):
    with pytest.raises(UnsupportedParameter, match=kind) as caught:
        read({"role": "user", "content": "a"}, {"type": kind, "id": "x"})
    assert caught.value.param == "input[1].type"


@pytest.mark.parametrize(
    ("item", "place"),
    [
        ({"id": "x"}, "input[0].role"),
        ("hi", "input[0]"),
        ({"type": 5}, "input[0].type"),
        ({"role": "tool", "content": "a"}, "input[0].role"),
        ({"role": "user"}, "input[0].content"),
        ({"role": "user", "content": {"a": 1}}, "input[0].content"),
        ({"type": "function_call", "name": "f", "arguments": "{}"}, "input[0].call_id"),
        ({"type": "function_call", "call_id": "a", "name": "", "arguments": "{}"}, "input[0].name"),
        ({"type": "function_call", "call_id": "a", "name": "f", "arguments": {}}, "input[0].arguments"),
        ({"type": "function_call_output", "output": "a"}, "input[0].call_id"),
        ({"type": "function_call_output", "call_id": "", "output": "a"}, "input[0].call_id"),
        ({"type": "function_call_output", "call_id": "a"}, "input[0].output"),
        ({"type": "function_call_output", "call_id": "a", "output": [{"type": "text"}]}, "input[0].output[0].type"),
        ({"type": "reasoning", "summary": "a"}, "input[0].summary"),
        ({"type": "reasoning", "summary": [{"type": "text", "text": "a"}]}, "input[0].summary[0].type"),
        ({"type": "reasoning", "summary": [], "encrypted_content": 5}, "input[0].encrypted_content"),
    ],
)
def test_what_is_no_item_is_named(item, place):
    with pytest.raises(Malformed) as caught:
        read(item)
    assert caught.value.place == place


@pytest.mark.parametrize("items", [[], [{"role": "user", "content": []}]])
def test_somebody_must_say_something(items):
    with pytest.raises(Malformed, match="at least one item"):
        read(*items)
