"""What OpenAI refuses and takes, beyond what the tables of fields say."""

from __future__ import annotations

from typing import Any

import pytest

from llmauth.demo import openai_shapes
from llmauth.demo.openai_shapes import Unsupported
from llmauth.demo.shapes import Mismatch

USER = {"role": "user", "content": "hello"}
CALL = {
    "role": "assistant",
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}],
}
TOOL = {"type": "function", "function": {"name": "f"}}


def chat(**fields: Any) -> None:
    openai_shapes.chat({"model": "gpt-4o", "messages": [USER], **fields})


@pytest.mark.parametrize(
    "fields",
    [
        {
            "messages": [
                {"role": "developer", "content": "x"},
                USER,
                CALL,
                {"role": "tool", "tool_call_id": "c1", "content": "y"},
            ]
        },
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]},
        {"stop": ["a", "b"], "seed": 1, "logit_bias": {"1": 2}, "metadata": None},
        {"tools": [TOOL], "tool_choice": "required"},
        {"stream": True, "stream_options": {"include_usage": True}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}},
        {"model": "o3-mini", "max_completion_tokens": 5, "reasoning_effort": "low", "temperature": 1},
    ],
)
def test_takes(fields: dict[str, Any]) -> None:
    chat(**fields)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": "always"}, "tool_choice"),
        ({"messages": [USER, {"role": "tool", "tool_call_id": "c1", "content": "y"}]}, "messages"),
        ({"model": "gpt-5", "max_tokens": 5}, "max_tokens"),
        ({"model": "o3-mini", "temperature": 0.5}, "temperature"),
        ({"model": "gpt-4o", "reasoning_effort": "low"}, "reasoning_effort"),
        ({"user": "u" * 65}, "user"),
    ],
)
def test_refuses_what_does_not_go_together(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(Unsupported) as caught:
        chat(**fields)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "picture"}]}]}, "messages[0].content[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"stop": ["1", "2", "3", "4", "5"]}, "stop"),
        ({"n": 0}, "n"),
    ],
)
def test_names_a_field_of_the_wrong_shape(fields: dict[str, Any], path: str) -> None:
    with pytest.raises(Mismatch) as caught:
        chat(**fields)
    assert caught.value.path == path
