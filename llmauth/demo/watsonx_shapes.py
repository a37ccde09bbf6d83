"""What watsonx takes: its fields as tables, and what they cannot say."""

from __future__ import annotations

from typing import Any

from llmauth.demo.openai_shapes import MESSAGES, RESPONSE_FORMAT, TOOLS
from llmauth.demo.shapes import (
    Check,
    Fault,
    Mismatch,
    anything,
    filled,
    flag,
    integer,
    list_of,
    mapping,
    matching,
    number,
    one_of,
    record,
    text,
    text_or,
)

_ID = matching(r"[A-Za-z0-9-]{1,64}")
_SCOPE: dict[str, Check] = {"project_id": _ID, "space_id": _ID}
# `model` and `stream` are not among them: the first has another name here, and the second is the path's to say.
_CHAT: dict[str, Check] = {
    "messages": MESSAGES,
    "max_tokens": integer(0),
    "max_completion_tokens": integer(1),
    "temperature": number(0, 2),
    "top_p": number(0, 1),
    "n": integer(1, 128),
    "seed": integer(-(2**63), 2**63 - 1),
    "stop": list_of(text, most=4),
    "frequency_penalty": number(-2, 2),
    "presence_penalty": number(-2, 2),
    "repetition_penalty": number(0, 10),
    "length_penalty": number(0, 10),
    "logprobs": flag,
    "top_logprobs": integer(0, 20),
    "logit_bias": mapping,
    "response_format": RESPONSE_FORMAT,
    "time_limit": integer(1),
    "tools": TOOLS,
    "tool_choice_option": one_of("none", "auto", "required"),
    "tool_choice": mapping,
    "reasoning_effort": one_of("low", "medium", "high"),
    "include_reasoning": flag,
    "chat_template_kwargs": mapping,
    "guided_choice": list_of(text),
    "guided_regex": text,
    "guided_grammar": text,
    "guided_json": anything,
    "context": text,
    "crypto": mapping,
}
chat = record({"model_id": filled, **_SCOPE, **_CHAT}, "model_id", "messages")
deployed_chat = record(_CHAT, "messages")
embeddings = record(
    {
        "model_id": filled,
        **_SCOPE,
        "inputs": list_of(text, least=1, most=1000),
        "parameters": record({"truncate_input_tokens": integer(1), "return_options": mapping}),
        "crypto": mapping,
    },
    "model_id",
    "inputs",
)
tokenization = record(
    {
        "model_id": filled,
        **_SCOPE,
        "input": text_or(list_of(text, least=1)),
        "parameters": record({"return_tokens": flag}),
    },
    "model_id",
    "input",
)


def require_scope(body: dict[str, Any]) -> None:
    """A project or a space; raises Mismatch."""
    if ("project_id" in body) == ("space_id" in body):
        raise Mismatch(Fault.WRONG, "expected exactly one of project_id and space_id", "project_id")


def check_choice(body: dict[str, Any]) -> None:
    """One way to choose a tool, and tools to choose from; raises Mismatch."""
    if "tool_choice" in body and "tool_choice_option" in body:
        raise Mismatch(Fault.WRONG, "stands beside tool_choice_option, and one of them is meant", "tool_choice")
    if ("tool_choice" in body or "tool_choice_option" in body) and "tools" not in body:
        raise Mismatch(Fault.MISSING, "is required where one of them is chosen", "tools")
