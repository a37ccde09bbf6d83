"""What the Messages format of Claude models takes, as Anthropic, Bedrock and Google all serve it: tables of fields."""

from __future__ import annotations

from llmauth.demo.shapes import (
    Check,
    anything,
    filled,
    flag,
    integer,
    list_of,
    mapping,
    matching,
    number,
    one_of,
    optional,
    record,
    tagged,
    text,
    text_or,
)

# `scope` comes with the beta `prompt-caching-scope`, which Claude Code asks for on the API itself.
_SCOPE = one_of("global", "organization")
_CACHE = optional(record({"type": one_of("ephemeral"), "ttl": one_of("5m", "1h"), "scope": _SCOPE}, "type"))
_COMMON: dict[str, Check] = {"type": text, "cache_control": _CACHE}
_TEXT = record({**_COMMON, "text": filled, "citations": anything}, "text")
_SOURCE = tagged(
    {
        "base64": record({"type": text, "media_type": filled, "data": filled}, "media_type", "data"),
        "url": record({"type": text, "url": filled}, "url"),
        "file": record({"type": text, "file_id": filled}, "file_id"),
        "text": record({"type": text, "media_type": filled, "data": text}, "data"),
        "content": record({"type": text, "content": anything}, "content"),
    }
)
_IMAGE = record({**_COMMON, "source": _SOURCE}, "source")
_BLOCK = tagged(
    {
        "text": _TEXT,
        "image": _IMAGE,
        "document": record(
            {**_COMMON, "source": _SOURCE, "title": optional(text), "context": optional(text), "citations": anything},
            "source",
        ),
        "tool_use": record(
            {**_COMMON, "id": filled, "name": filled, "input": mapping, "caller": anything}, "id", "name", "input"
        ),
        "tool_result": record(
            {
                **_COMMON,
                "tool_use_id": filled,
                "content": text_or(list_of(record({"type": filled}, "type", closed=False))),
                "is_error": flag,
            },
            "tool_use_id",
        ),
        "thinking": record({"type": text, "thinking": text, "signature": text}, "thinking", "signature"),
        "redacted_thinking": record({"type": text, "data": text}, "data"),
        "search_result": record({"type": text}, closed=False),
    }
)
_MESSAGE = record(
    {"role": one_of("user", "assistant", "system"), "content": text_or(list_of(_BLOCK, least=1))}, "role", "content"
)
_TOOL = record(
    {
        "name": matching(r"[a-zA-Z0-9_-]{1,128}"),
        "type": text,
        "description": text,
        "input_schema": mapping,
        "strict": flag,
        "cache_control": _CACHE,
        "defer_loading": flag,
        "input_examples": anything,
        "eager_input_streaming": anything,
        "allowed_callers": anything,
    },
    "name",
    closed=False,  # server tools, told by a dated type, bring fields of their own
)
_CHOICE = tagged(
    {
        "auto": record({"type": text, "disable_parallel_tool_use": flag}),
        "any": record({"type": text, "disable_parallel_tool_use": flag}),
        "tool": record({"type": text, "name": filled, "disable_parallel_tool_use": flag}, "name"),
        "none": record({"type": text}),
    }
)
THINKING = tagged(
    {
        "enabled": record({"type": text, "budget_tokens": integer(1024), "display": text}, "budget_tokens"),
        "adaptive": record({"type": text, "display": text}),
        "between_tools": record({"type": text}),
        "disabled": record({"type": text}),
    }
)
QUESTION: dict[str, Check] = {
    "messages": list_of(_MESSAGE, least=1),
    "system": text_or(list_of(_TEXT)),
    "tools": list_of(_TOOL),
    "tool_choice": _CHOICE,
    "thinking": THINKING,
    "output_config": mapping,
    "cache_control": _CACHE,
    "context_management": anything,
    "mcp_servers": anything,
    "speed": optional(one_of("fast", "standard")),
}
MESSAGE: dict[str, Check] = {
    **QUESTION,
    "max_tokens": integer(1),
    "stop_sequences": list_of(text),
    "temperature": number(0, 1),
    "top_p": number(0, 1),
    "top_k": integer(0),
    "metadata": record({"user_id": optional(text)}),
    "service_tier": one_of("auto", "standard_only"),
    "container": anything,
    "inference_geo": optional(text),
    "diagnostics": anything,
    "workspace_id": optional(text),
    "user_profile_id": optional(text),
}
SAMPLING = ("temperature", "top_p", "top_k")
