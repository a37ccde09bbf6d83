"""The Messages format of Claude models, as Anthropic and Bedrock both serve it: its checks, answers and events."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from llmauth.demo import words
from llmauth.demo.emulator import Call
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
    optional,
    record,
    tagged,
    text,
    text_or,
)

_SPEAKER = "Claude"

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
_THINKING = tagged(
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
    "thinking": _THINKING,
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


def check_turns(body: dict[str, Any]) -> None:
    """What a table of fields cannot say: the order of the turns and of tool calls; raises Mismatch."""
    messages = body["messages"]
    if messages[0]["role"] == "assistant":
        raise Mismatch(Fault.WRONG, "expected the first message to be the user's", "messages[0].role")
    asked: set[str] = set()
    for position, message in enumerate(messages):
        blocks = message["content"] if isinstance(message["content"], list) else []
        answered = {block["tool_use_id"] for block in blocks if block["type"] == "tool_result"}
        if message["role"] == "user" and answered != asked:
            raise Mismatch(
                Fault.WRONG,
                "expected a tool_result for each tool_use of the message before, and for nothing else",
                f"messages[{position}]",
            )
        if message["role"] != "system":
            asked = {block["id"] for block in blocks if block["type"] == "tool_use"}
    thinking = body.get("thinking") or {}
    if "budget_tokens" in thinking and thinking["budget_tokens"] >= body.get("max_tokens", 2**31):
        raise Mismatch(Fault.WRONG, "expected less than max_tokens", "thinking.budget_tokens")


@dataclass(frozen=True, slots=True)
class Event:
    """One stream event; `pause` when the model takes the time of a token after it."""

    name: str
    data: bytes
    pause: bool = False


class Reply:
    """One message while it comes into being."""

    def __init__(self, call: Call, body: dict[str, Any], model: str) -> None:
        self._call = call
        self._model = model
        self.prompt = words.estimate(call.request.body)
        self._tool = _forced_tool(call, body)
        limit = body["max_tokens"]
        if self._tool is None:
            self.count = call.tokens(limit)
            self._reason = "max_tokens" if self.count >= limit else "end_turn"
        else:
            self._arguments = words.example(self._tool.get("input_schema"))
            self._written = words.dumps(self._arguments).decode()
            self.count = max(1, len(self._written) // 4)
            self._reason = "tool_use"

    def whole(self) -> dict[str, Any]:
        """The message as one object."""
        if self._tool is None:
            content = {"type": "text", "text": words.text(_SPEAKER, self.count)}
        else:
            content = {**self._tool_block(), "input": self._arguments}
        return self._message([content], self._reason, self.count)

    def _message(self, content: list[dict[str, Any]], reason: str | None, said: int) -> dict[str, Any]:
        return {
            "id": f"msg_{secrets.token_hex(12)}",
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": content,
            "stop_reason": reason,
            "stop_sequence": None,
            "usage": {
                "input_tokens": self.prompt,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
                "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
                "output_tokens": said,
                "service_tier": "standard",
            },
        }

    def _tool_block(self) -> dict[str, Any]:
        assert self._tool is not None
        return {"type": "tool_use", "id": f"toolu_{secrets.token_hex(12)}", "name": self._tool["name"], "input": {}}

    def events(self) -> Iterator[Event]:
        """The message as events; usage is split over the first and the last but one."""
        yield _event("message_start", message=self._message([], None, 1))
        block = {"type": "text", "text": ""} if self._tool is None else self._tool_block()
        yield _event("content_block_start", index=0, content_block=block)
        yield _event("ping")
        for position, delta in enumerate(self._deltas()):
            if self._call.fails_at(position):
                return
            yield Event("content_block_delta", delta, pause=True)
        yield _event("content_block_stop", index=0)
        usage = {"output_tokens": self.count}
        yield _event("message_delta", delta={"stop_reason": self._reason, "stop_sequence": None}, usage=usage)
        yield _event("message_stop")

    @property
    def fails(self) -> bool:
        """Whether `events` ends before the message does."""
        return self._call.behaviour.fail_after is not None

    def _deltas(self) -> Iterator[bytes]:
        if self._tool is None:
            template = _delta({"type": "text_delta", "text": words.Template.HOLE})
            for token in words.tokens(_SPEAKER, self.count):
                yield template.fill(token)
        else:
            template = _delta({"type": "input_json_delta", "partial_json": words.Template.HOLE})
            yield template.fill("")
            for piece in words.pieces(self._written):
                yield template.fill(piece)


def _event(name: str, **members: Any) -> Event:
    return Event(name, words.dumps({"type": name, **members}))


def _delta(delta: dict[str, Any]) -> words.Template:
    return words.Template({"type": "content_block_delta", "index": 0, "delta": delta})


def _forced_tool(call: Call, body: dict[str, Any]) -> dict[str, Any] | None:
    tools: list[dict[str, Any]] = body.get("tools") or []
    choice = body.get("tool_choice") or {}
    if choice.get("type") == "tool":
        return next((tool for tool in tools if tool["name"] == choice["name"]), None)
    return tools[0] if tools and (choice.get("type") == "any" or call.behaviour.call_tool) else None
