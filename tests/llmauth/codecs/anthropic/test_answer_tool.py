"""The tool that stands for a schema."""

import re

from llmauth.chat.messages import JsonSchema
from llmauth.codecs.anthropic import answer_tool


def test_the_tool_is_one_that_anthropic_takes():
    tool = answer_tool.tool(JsonSchema({"type": "object"}))
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", tool["name"])
    assert tool["description"]
    assert tool["input_schema"] == {"type": "object"}


def test_it_is_forced_unless_there_are_others():
    assert answer_tool.choice(others=False) == {"type": "tool", "name": answer_tool.NAME}
    assert answer_tool.choice(others=True) == {"type": "any"}
