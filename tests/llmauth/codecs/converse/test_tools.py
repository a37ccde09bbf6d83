"""Tools, the choice among them, and what is done where a family lacks a choice."""

import pytest

from llmauth.chat.messages import (
    Cache,
    ChatRequest,
    Choose,
    JsonSchema,
    Message,
    Named,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from llmauth.chat.words import Word
from llmauth.codecs.converse.content import Block, Blocks
from llmauth.codecs.converse.families import family_of
from llmauth.codecs.converse.names import ANSWER
from llmauth.codecs.converse.tools import Toolbox, forced, toolbox

CLAUDE = family_of("anthropic.claude-sonnet-4-5-20250929-v1:0")
OLD = family_of("anthropic.claude-3-haiku-20240307-v1:0")
NOVA = family_of("amazon.nova-pro-v1:0")
TOOL = Tool("look", "Looks.", {"type": "object", "properties": {}})
SPEC = {"toolSpec": {"name": "look", "description": "Looks.", "inputSchema": {"json": dict(TOOL.schema)}}}
HISTORY = (
    Message("user", (Text("a"),)),
    Message("assistant", (ToolCall("c", "old.look", "{}"),)),
    Message("tool", (ToolResult("c", (Text("b"),)),)),
)
EVERYTHING = frozenset(Word)


def told(family=CLAUDE, features=EVERYTHING, messages=(), **options) -> Toolbox:
    request = ChatRequest(model="m", messages=messages, **options)
    return toolbox(request, family, features, Blocks(family, features))


def config_of(box: Toolbox) -> Block:
    """The `toolConfig` that must be there."""
    assert box.config is not None
    return box.config


SOME = EVERYTHING - {Word.PARALLEL_TOOL_CALLS}


@pytest.mark.parametrize(
    ("choice", "wire"),
    [
        (None, {}),
        (Choose.AUTO, {"toolChoice": {"auto": {}}}),
        (Choose.REQUIRED, {"toolChoice": {"any": {}}}),
        (Named("look"), {"toolChoice": {"tool": {"name": "look"}}}),
    ],
)
def test_choices(choice, wire):
    assert told(features=SOME, tools=(TOOL,), tool_choice=choice) == Toolbox(config={"tools": [SPEC], **wire})


@pytest.mark.parametrize(
    ("choice", "wire", "claude"),
    [
        (None, {}, {"type": "auto", "disable_parallel_tool_use": True}),
        (Choose.AUTO, {}, {"type": "auto", "disable_parallel_tool_use": True}),
        (Choose.REQUIRED, {"toolChoice": {"any": {}}}, {"disable_parallel_tool_use": True}),
        (Named("look"), {"toolChoice": {"tool": {"name": "look"}}}, {"disable_parallel_tool_use": True}),
    ],
)
def test_the_type_of_the_choice_is_never_told_twice(choice, wire, claude):
    """ "The additional field tool_choice/type conflicts with the existing field toolConfig.toolChoice.tool." """
    assert told(tools=(TOOL,), tool_choice=choice) == Toolbox(config={"tools": [SPEC], **wire}, claude=claude)


def test_no_tools_is_no_tool_config():
    assert told() == told(tools=(TOOL,), tool_choice=Choose.NONE) == told(tool_choice=Choose.REQUIRED) == Toolbox()


def test_a_history_of_calls_keeps_the_tools_and_none_is_said_otherwise():
    box = told(tools=(TOOL,), tool_choice=Choose.NONE, messages=HISTORY)
    assert box == Toolbox(config={"tools": [SPEC]}, claude={"type": "none"})
    box = told(NOVA, tools=(TOOL,), tool_choice=Choose.NONE, messages=HISTORY)
    assert box == Toolbox(config={"tools": [SPEC]}, quiet=True)


def test_a_history_of_calls_without_tools_brings_them_back():
    box = told(messages=HISTORY)
    [tool] = config_of(box)["tools"]
    assert tool["toolSpec"]["name"].startswith("old_look_")
    assert tool["toolSpec"]["inputSchema"] == {"json": {"type": "object"}}
    assert box.claude == {"type": "none"}


def test_a_spec_is_what_aws_takes():
    [tool] = config_of(told(features=SOME, tools=(Tool("a.b", "  ", {"properties": {}}, True),)))["tools"]
    spec = tool["toolSpec"]
    assert "description" not in spec
    assert spec["inputSchema"] == {"json": {"type": "object", "properties": {}}}
    assert spec["strict"] is True
    [tool] = config_of(told(features=SOME - {Word.STRICT_TOOLS}, tools=(Tool("a", strict=True),)))["tools"]
    assert "strict" not in tool["toolSpec"]


def test_only_claude_takes_a_cache_point_among_tools():
    """Nova: "#/toolConfig/tools/0: extraneous key [cachePoint] is not permitted"."""
    tool = Tool("look", cache=Cache())
    assert [next(iter(block)) for block in config_of(told(tools=(tool,)))["tools"]] == ["toolSpec", "cachePoint"]
    assert [next(iter(block)) for block in config_of(told(NOVA, tools=(tool,)))["tools"]] == ["toolSpec"]


@pytest.mark.parametrize("family", [OLD, NOVA])
def test_a_schema_by_a_tool(family):
    output = JsonSchema({"type": "object", "properties": {"a": {}}})
    box = told(family, SOME, output=output)
    assert config_of(box)["toolChoice"] == {"tool": {"name": ANSWER}}
    [spec] = config_of(box)["tools"]
    assert spec["toolSpec"]["inputSchema"]["json"] == output.schema
    beside = told(family, SOME, output=output, tools=(TOOL,))
    assert config_of(beside)["toolChoice"] == {"any": {}}
    assert len(config_of(beside)["tools"]) == 2


def test_nova_takes_three_members_of_a_schema():
    """Nova: "extraneous key [definitions] is not permitted"."""
    strict = {**TOOL.schema, "additionalProperties": False}
    [tool] = config_of(told(NOVA, SOME, tools=(Tool("look", "", strict),)))["tools"]
    assert tool["toolSpec"]["inputSchema"]["json"] == TOOL.schema
    [tool] = config_of(told(CLAUDE, SOME, tools=(Tool("look", "", strict),)))["tools"]
    assert tool["toolSpec"]["inputSchema"]["json"] == strict


def test_who_is_forced():
    def asked(**options):
        return ChatRequest(model="m", messages=(), **options)

    assert forced(asked(tools=(TOOL,), tool_choice=Choose.REQUIRED), CLAUDE)
    assert forced(asked(tools=(TOOL,), tool_choice=Named("look")), CLAUDE)
    assert not forced(asked(tool_choice=Choose.REQUIRED), CLAUDE)
    assert not forced(asked(tools=(TOOL,), tool_choice=Choose.AUTO), CLAUDE)
    assert forced(asked(output=JsonSchema({})), OLD)
    assert not forced(asked(output=JsonSchema({})), CLAUDE)
