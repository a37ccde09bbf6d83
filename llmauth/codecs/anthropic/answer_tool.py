"""A schema for models that know no structured output: a tool that must be called, whose arguments are the answer."""

from __future__ import annotations

from typing import Any

from llmauth.chat.messages import JsonSchema

# A name of ours, so that an answer can be told from a call without knowing what was asked.
NAME = "llmauth_json_answer"


def tool(output: JsonSchema) -> dict[str, Any]:
    """The tool, beside those of the client."""
    description = output.description or "Gives the answer. Call it with the answer as arguments."
    return {"name": NAME, "description": description, "input_schema": output.schema}


def choice(others: bool) -> dict[str, Any]:
    """Whether the model must answer, or may call a tool of the client's first."""
    return {"type": "any"} if others else {"type": "tool", "name": NAME}
