"""What OpenAI accepts: the fields of its requests, as tables."""

from __future__ import annotations

from typing import Any

from llmauth.demo.shapes import (
    Mismatch,
    anything,
    filled,
    flag,
    integer,
    list_of,
    mapping,
    number,
    one_of,
    optional,
    record,
    tagged,
    text,
    text_or,
)

_TEXT_PART = record({"type": text, "text": text, "prompt_cache_breakpoint": anything}, "text")
_IMAGE_URL = record({"url": filled, "detail": one_of("auto", "low", "high")}, "url")
_AUDIO = record({"data": filled, "format": one_of("wav", "mp3")}, "data", "format")
_TEXTS = text_or(list_of(tagged({"text": _TEXT_PART}), least=1))
_USER_PARTS = tagged(
    {
        "text": _TEXT_PART,
        "image_url": record({"type": text, "image_url": _IMAGE_URL, "prompt_cache_breakpoint": anything}, "image_url"),
        "input_audio": record(
            {"type": text, "input_audio": _AUDIO, "prompt_cache_breakpoint": anything}, "input_audio"
        ),
        "file": record({"type": text, "file": mapping, "prompt_cache_breakpoint": anything}, "file"),
    }
)
_ASSISTANT_PARTS = tagged({"text": _TEXT_PART, "refusal": record({"type": text, "refusal": text}, "refusal")})
_CALL = tagged(
    {
        "function": record(
            {"id": filled, "type": text, "function": record({"name": filled, "arguments": text}, "name", "arguments")},
            "id",
            "function",
        ),
        "custom": record({"id": filled, "type": text, "custom": mapping}, "id", "custom"),
    }
)
_NAMED = {"role": text, "name": text}
_MESSAGE = tagged(
    {
        "developer": record({**_NAMED, "content": _TEXTS}, "content"),
        "system": record({**_NAMED, "content": _TEXTS}, "content"),
        "user": record({**_NAMED, "content": text_or(list_of(_USER_PARTS, least=1))}, "content"),
        "assistant": record(
            {
                **_NAMED,
                "content": optional(text_or(list_of(_ASSISTANT_PARTS, least=1))),
                "refusal": optional(text),
                "tool_calls": list_of(_CALL, least=1),
                "audio": optional(mapping),
                "function_call": optional(mapping),
            }
        ),
        "tool": record({"role": text, "content": _TEXTS, "tool_call_id": filled}, "content", "tool_call_id"),
        "function": record({**_NAMED, "content": optional(text)}, "content", "name"),
    },
    tag="role",
)
_FUNCTION = record(
    {
        "name": filled,
        "description": optional(text),
        "parameters": optional(mapping),
        "strict": optional(flag),
    },
    "name",
)
_TOOL = tagged(
    {
        "function": record({"type": text, "function": _FUNCTION}, "function"),
        "custom": record({"type": text, "custom": mapping}, "custom"),
    }
)
_RESPONSE_FORMAT = tagged(
    {
        "text": record({"type": text}),
        "json_object": record({"type": text}),
        "json_schema": record(
            {
                "type": text,
                "json_schema": record(
                    {"name": filled, "description": text, "schema": mapping, "strict": optional(flag)}, "name"
                ),
            },
            "json_schema",
        ),
    }
)
# What other providers took over of these shapes.
MESSAGES = list_of(_MESSAGE, least=1)
TOOLS = list_of(_TOOL, least=1)
RESPONSE_FORMAT = _RESPONSE_FORMAT

_TIER = optional(one_of("auto", "default", "flex", "scale", "priority", "fast"))
_EFFORT = optional(one_of("none", "minimal", "low", "medium", "high", "xhigh", "max"))

_chat = record(
    {
        "model": filled,
        "messages": MESSAGES,
        "max_completion_tokens": optional(integer(1)),
        "max_tokens": optional(integer(1)),
        "temperature": optional(number(0, 2)),
        "top_p": optional(number(0, 1)),
        "n": optional(integer(1, 128)),
        "stop": optional(text_or(list_of(text, least=1, most=4))),
        "seed": optional(integer(-(2**63), 2**63 - 1)),
        "logprobs": optional(flag),
        "top_logprobs": optional(integer(0, 20)),
        "logit_bias": optional(mapping),
        "presence_penalty": optional(number(-2, 2)),
        "frequency_penalty": optional(number(-2, 2)),
        "tools": TOOLS,
        "tool_choice": text_or(mapping),
        "parallel_tool_calls": flag,
        "functions": list_of(mapping, least=1),
        "function_call": text_or(mapping),
        "response_format": _RESPONSE_FORMAT,
        "reasoning_effort": _EFFORT,
        "verbosity": optional(one_of("low", "medium", "high")),
        "stream": optional(flag),
        "stream_options": optional(record({"include_usage": flag, "include_obfuscation": flag})),
        "user": text,
        "safety_identifier": optional(text),
        "prompt_cache_key": optional(text),
        "prompt_cache_retention": optional(one_of("in_memory", "24h")),
        "prompt_cache_options": mapping,
        "service_tier": _TIER,
        "metadata": optional(mapping),
        "modalities": optional(list_of(text)),
        "audio": optional(mapping),
        "prediction": optional(mapping),
        "web_search_options": mapping,
        "moderation": anything,
        "store": optional(flag),
    },
    "model",
    "messages",
)

_responses = record(
    {
        "model": filled,
        "input": text_or(list_of(mapping, least=1)),
        "instructions": optional(text),
        "max_output_tokens": optional(integer(16)),
        "max_tool_calls": optional(integer(1)),
        "temperature": optional(number(0, 2)),
        "top_p": optional(number(0, 1)),
        "stream": optional(flag),
        "stream_options": optional(record({"include_obfuscation": flag})),
        "tools": list_of(tagged({"function": record({"type": text, "name": filled}, "name", closed=False)})),
        "tool_choice": text_or(mapping),
        "parallel_tool_calls": optional(flag),
        "text": mapping,
        "reasoning": optional(mapping),
        "metadata": optional(mapping),
        "service_tier": _TIER,
        "store": optional(flag),
        "truncation": optional(one_of("auto", "disabled")),
        "top_logprobs": optional(integer(0, 20)),
        "user": text,
        "client_metadata": mapping,
        "safety_identifier": optional(text),
        "prompt_cache_key": optional(text),
        "prompt_cache_retention": optional(one_of("in_memory", "24h")),
        "prompt_cache_options": mapping,
        "previous_response_id": optional(text),
        "conversation": optional(text_or(mapping)),
        "background": optional(flag),
        "include": optional(list_of(text)),
        "prompt": optional(mapping),
        "moderation": anything,
        "context_management": anything,
    },
    "model",
    "input",
)

embeddings = record(
    {
        "model": filled,
        "input": text_or(list_of(anything, least=1, most=2048)),
        "dimensions": integer(1, 3072),
        "encoding_format": one_of("float", "base64"),
        "user": text,
    },
    "model",
    "input",
)


_LONGEST_USER = 64
_THOUGHTLESS = ("gpt-3", "gpt-4", "chatgpt-4")


def is_reasoning(model: str) -> bool:
    """Whether a model thinks first, and therefore refuses the older sampling fields."""
    return model.startswith(("o1", "o3", "o4", "gpt-5"))


class Unsupported(Exception):
    """A field that this model does not take."""

    def __init__(self, param: str, message: str) -> None:
        super().__init__(message)
        self.param = param


def chat(body: dict[str, Any]) -> None:
    """Check a Chat Completions request; raises Mismatch or Unsupported."""
    _chat(body)
    if body.get("stream_options") and not body.get("stream"):
        raise Unsupported("stream_options", "'stream_options' is only allowed together with 'stream'.")
    if len(body.get("user") or "") > _LONGEST_USER:
        raise Unsupported("user", f"'user' is a string of at most {_LONGEST_USER} characters.")
    _check_tools(body)
    if is_reasoning(body["model"]):
        _check_reasoning(body)
    elif body.get("reasoning_effort") is not None and body["model"].startswith(_THOUGHTLESS):
        raise Unsupported("reasoning_effort", "This model knows no 'reasoning_effort'.")


def _check_tools(body: dict[str, Any]) -> None:
    if "tool_choice" in body and "tools" not in body:
        raise Unsupported("tool_choice", "'tool_choice' is only allowed when 'tools' are given.")
    choice = body.get("tool_choice")
    if isinstance(choice, str) and choice not in ("none", "auto", "required"):
        raise Unsupported("tool_choice", "'tool_choice' is none, auto, required, or names a tool.")
    calls: set[str] = set()
    for message in body["messages"]:
        calls.update(call["id"] for call in message.get("tool_calls") or ())
        if message["role"] == "tool" and message["tool_call_id"] not in calls:
            raise Unsupported("messages", "A message of role 'tool' must answer a preceding message with 'tool_calls'.")


def _check_reasoning(body: dict[str, Any]) -> None:
    if body.get("max_tokens") is not None:
        raise Unsupported("max_tokens", "This model takes 'max_completion_tokens' instead of 'max_tokens'.")
    for name, usual in (("temperature", 1), ("top_p", 1)):
        if body.get(name) not in (None, usual):
            raise Unsupported(name, f"This model takes only the default of {name!r}, {usual}.")


def responses(body: dict[str, Any]) -> None:
    """Check a Responses request; raises Mismatch or Unsupported."""
    _responses(body)


__all__ = [
    "MESSAGES",
    "RESPONSE_FORMAT",
    "TOOLS",
    "Mismatch",
    "Unsupported",
    "chat",
    "embeddings",
    "is_reasoning",
    "responses",
]
