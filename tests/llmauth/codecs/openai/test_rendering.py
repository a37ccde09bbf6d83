"""Turns and tools in OpenAI's words, with the variations that other speakers of its format need."""

import base64

import pytest

from llmauth.chat.messages import (
    Audio,
    Cache,
    Choose,
    Data,
    Document,
    Image,
    JsonSchema,
    Link,
    Message,
    Named,
    Redacted,
    Refusal,
    Signature,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from llmauth.chat.words import Word
from llmauth.codecs.openai.rendering import render_messages, render_output, render_tool, render_tool_choice
from llmauth.errors import UnsupportedParameter
from tests.golden.cases import PNG, assistant, user


def test_a_string_where_it_says_all():
    told = render_messages([user("Hi"), user("a", "b"), assistant("c"), Message("assistant", ())])
    assert [message["content"] for message in told] == [
        "Hi",
        [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
        "c",
        "",
    ]


def test_joined_texts_of_all_but_the_user():
    system = Message("system", (Text("a", Cache()), Text("b")))
    told = render_messages([system, user("c", "d")], joined=True)
    assert told[0]["content"] == "a\n\nb"
    assert len(told[1]["content"]) == 2


def test_marks_of_a_cache_only_where_they_are_known():
    marked = user(Text("a", Cache("1h")))
    assert render_messages([marked])[0]["content"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert render_messages([marked], features=())[0]["content"] == "a"
    tool = Tool("f", cache=Cache())
    assert "cache_control" in render_tool(tool)
    assert "cache_control" not in render_tool(tool, features=())


def test_pictures_in_results_follow_in_a_turn_of_the_user_s():
    picture = Image(Data("image/png", PNG))
    results = (ToolResult("a", (Text("x"), picture)), ToolResult("b", (picture,)), ToolResult("c", (Text("y"),)))
    told = render_messages([Message("tool", results)])
    assert [message["role"] for message in told] == ["tool", "tool", "tool", "user"]
    assert [message["content"] for message in told[:3]] == ["x", "The result follows in the next message.", "y"]
    assert [part["type"] for part in told[3]["content"]] == ["text", "image_url", "text", "image_url"]
    assert "call b" in told[3]["content"][2]["text"]


def test_what_an_assistant_said():
    told = render_messages(
        [assistant(Refusal("No.")), assistant("a", Refusal("b")), assistant(ToolCall("c", "f", "")), assistant("d")]
    )
    assert told[0] == {"role": "assistant", "content": None, "refusal": "No."}
    assert told[1]["content"] == [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "b"}]
    assert told[2]["content"] is None
    assert told[2]["tool_calls"][0]["function"]["arguments"] == "{}"


def test_signatures_go_to_their_own_family_only():
    calls = (ToolCall("c", "f", "{}", Signature("gemini", "s")), ToolCall("d", "f", "{}", Signature("anthropic", "s")))
    foreign = Signature("anthropic", "s")
    thought = (Thinking("a", foreign), Redacted(foreign), Thinking("b"))
    told = render_messages([assistant(*thought, *calls)], family="gemini")[0]
    assert ["extra_content" in call for call in told["tool_calls"]] == [True, False]
    assert told["reasoning_content"] == "b"
    assert "thinking_blocks" not in told


def test_thinking_only_where_it_is_known():
    told = render_messages([assistant(Thinking("b"), "c")], features=set(Word) - {Word.THINKING_BACK})
    assert told == [{"role": "assistant", "content": "c"}]


def test_a_tool_without_a_schema_takes_an_empty_object():
    function = render_tool(Tool("f", strict=True), strict=False)["function"]
    assert function == {"name": "f", "parameters": {"type": "object", "properties": {}}}


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        (Choose.AUTO, "auto"),
        (Choose.NONE, "none"),
        (Choose.REQUIRED, "required"),
        (Named("f"), {"type": "function", "function": {"name": "f"}}),
    ],
)
def test_choices(choice, told):
    assert render_tool_choice(choice) == told


def test_a_schema_with_everything():
    told = render_output(JsonSchema({"a": 1}, "n", "d", False))
    assert told["json_schema"] == {"name": "n", "schema": {"a": 1}, "description": "d", "strict": False}


def test_a_plain_text_is_said_as_text():
    text = Document(Data("text/plain", base64.b64encode("Grüße".encode()).decode()), "a.txt")
    assert render_messages([user(text)])[0]["content"] == [{"type": "text", "text": "Grüße"}]


@pytest.mark.parametrize(
    "part",
    [
        Document(Link("https://example.com/a.pdf")),
        Document(Data("text/plain", "not base64!")),
        Document(Data("text/plain", "/w==")),
        Audio(Data("audio/flac", "YWJj")),
    ],
    ids=["link", "no base64", "no UTF-8", "flac"],
)
def test_what_cannot_be_sent_is_refused(part):
    with pytest.raises(UnsupportedParameter):
        render_messages([user(part)])
