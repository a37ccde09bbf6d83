"""Bedrock's Converse as it is answered: whole, and as a stream of events."""

from __future__ import annotations

import json
import secrets
import string
from collections.abc import Iterator
from typing import Any

from llmauth.demo import eventstream, words
from llmauth.demo.emulator import PAUSE, Call
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
    union,
)

_SPEAKER = "Bedrock"

_CACHE = record({"type": one_of("default"), "ttl": one_of("5m", "1h")}, "type")
_SOURCE = union({"bytes": filled, "s3Location": mapping, "text": text, "content": anything})
_IMAGE = record({"format": one_of("png", "jpeg", "gif", "webp"), "source": _SOURCE}, "format", "source")
_DOCUMENT = record(
    {"format": filled, "name": matching(r".{1,200}"), "source": _SOURCE, "context": text, "citations": anything},
    "name",
    "source",
)
_TOOL_ID, _TOOL_NAME = matching(r"[a-zA-Z0-9_.:-]{1,64}"), matching(r"[a-zA-Z0-9_-]{1,64}")
_RESULT = union(
    {"text": text, "json": anything, "image": _IMAGE, "document": _DOCUMENT, "video": mapping, "searchResult": mapping}
)
_BLOCK = union(
    {
        "text": text,
        "image": _IMAGE,
        "document": _DOCUMENT,
        "video": mapping,
        "audio": mapping,
        "toolUse": record(
            {"toolUseId": _TOOL_ID, "name": _TOOL_NAME, "input": anything, "type": text}, "toolUseId", "name", "input"
        ),
        "toolResult": record(
            {"toolUseId": _TOOL_ID, "content": list_of(_RESULT), "status": one_of("success", "error"), "type": text},
            "toolUseId",
            "content",
        ),
        "guardContent": mapping,
        "cachePoint": _CACHE,
        "reasoningContent": union({"reasoningText": mapping, "redactedContent": filled}),
        "citationsContent": mapping,
        "searchResult": mapping,
        "toolAddition": mapping,
        "toolRemoval": mapping,
    }
)
_TOOL = union(
    {
        "toolSpec": record(
            {
                "name": _TOOL_NAME,
                "description": filled,
                "inputSchema": record({"json": mapping}, "json"),
                "strict": flag,
            },
            "name",
            "inputSchema",
        ),
        "systemTool": mapping,
        "cachePoint": _CACHE,
    }
)
_MEMBERS: dict[str, Check] = {
    "messages": list_of(
        record({"role": one_of("user", "assistant", "system"), "content": list_of(_BLOCK)}, "role", "content"), least=1
    ),
    "system": list_of(union({"text": filled, "guardContent": mapping, "cachePoint": _CACHE})),
    "inferenceConfig": record(
        {
            "maxTokens": integer(1),
            "temperature": number(0, 1),
            "topP": number(0, 1),
            "stopSequences": list_of(filled, most=2500),
        }
    ),
    "toolConfig": record(
        {
            "tools": list_of(_TOOL, least=1),
            "toolChoice": union({"auto": mapping, "any": mapping, "tool": record({"name": _TOOL_NAME}, "name")}),
        },
        "tools",
    ),
    "outputConfig": mapping,
    "additionalModelRequestFields": anything,
    "additionalModelResponseFieldPaths": list_of(matching(r".{1,256}"), most=10),
    "guardrailConfig": mapping,
    "performanceConfig": record({"latency": one_of("standard", "optimized")}),
    "serviceTier": record({"type": one_of("priority", "default", "flex", "reserved")}, "type"),
    "requestMetadata": mapping,
    "promptVariables": mapping,
}
_converse = record(_MEMBERS, "messages")


def check(body: dict[str, Any]) -> None:
    """Check a Converse request; raises Mismatch."""
    _converse(body)
    if body["messages"][0]["role"] == "assistant":
        raise Mismatch(Fault.WRONG, "expected the conversation to start with a user message", "messages[0].role")
    for position, message in enumerate(body["messages"]):
        if (
            any("toolUse" in block or "toolResult" in block for block in message["content"])
            and "toolConfig" not in body
        ):
            raise Mismatch(Fault.MISSING, "is required when messages hold toolUse or toolResult blocks", "toolConfig")
        if not message["content"]:
            raise Mismatch(Fault.WRONG, "expected a list of at least 1 items", f"messages[{position}].content")


class Reply:
    """One answer while it comes into being."""

    def __init__(self, call: Call, body: dict[str, Any]) -> None:
        self._call = call
        self._tool = _forced_tool(call, body)
        limit = body.get("inferenceConfig", {}).get("maxTokens")
        if self._tool is None:
            self._count = call.tokens(limit)
            self._reason = "max_tokens" if limit is not None and self._count >= limit else "end_turn"
        else:
            self._arguments = words.example(self._tool["inputSchema"]["json"])
            self._written = json.dumps(self._arguments)
            self._count = max(1, len(self._written) // 4)
            self._reason = "tool_use"

    def whole(self) -> dict[str, Any]:
        """The answer as one object."""
        return {
            "metrics": {"latencyMs": 42},
            "output": {"message": {"content": [self._block()], "role": "assistant"}},
            "stopReason": self._reason,
            "usage": self._usage(),
        }

    def _usage(self) -> dict[str, int]:
        prompt = words.estimate(self._call.request.body)
        return {"inputTokens": prompt, "outputTokens": self._count, "totalTokens": prompt + self._count}

    def _block(self) -> dict[str, Any]:
        if self._tool is None:
            return {"text": words.text(_SPEAKER, self._count)}
        return {"toolUse": {**self._use(), "input": self._arguments}}

    def _use(self) -> dict[str, Any]:
        assert self._tool is not None
        return {"toolUseId": f"tooluse_{secrets.token_urlsafe(16)}", "name": self._tool["name"]}

    def events(self) -> Iterator[bytes]:
        """The answer as frames: a text block has no start event, and the bill comes after the stop."""
        yield _frame("messageStart", {"role": "assistant"})
        if self._tool is not None:
            yield _frame("contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": self._use()}})
        for position, delta in enumerate(self._deltas()):
            if self._call.fails_at(position):
                message = {
                    "message": "The model did not finish.",
                    "originalStatusCode": 500,
                    "originalMessage": "internal error",
                }
                yield eventstream.exception("modelStreamErrorException", words.dumps(message))
                return
            yield _frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": delta})
            yield PAUSE
        yield _frame("contentBlockStop", {"contentBlockIndex": 0})
        yield _frame("messageStop", {"stopReason": self._reason})
        yield _frame("metadata", {"metrics": {"latencyMs": 42}, "usage": self._usage()})

    def _deltas(self) -> Iterator[dict[str, Any]]:
        if self._tool is None:
            for token in words.tokens(_SPEAKER, self._count):
                yield {"text": token}
        else:
            for piece in words.pieces(self._written):
                yield {"toolUse": {"input": piece}}


def _frame(kind: str, payload: dict[str, Any]) -> bytes:
    """A frame with the padding key `p`, by which AWS hides how long each piece of text is."""
    return eventstream.event(kind, words.dumps({**payload, "p": padding()}))


def padding() -> str:
    """Between one and 52 letters."""
    return string.ascii_letters[: 1 + secrets.randbelow(52)]


def _forced_tool(call: Call, body: dict[str, Any]) -> dict[str, Any] | None:
    config = body.get("toolConfig") or {}
    tools: list[dict[str, Any]] = [tool["toolSpec"] for tool in config.get("tools", ()) if "toolSpec" in tool]
    choice = config.get("toolChoice") or {}
    if "tool" in choice:
        return next((tool for tool in tools if tool["name"] == choice["tool"]["name"]), None)
    return tools[0] if tools and ("any" in choice or call.behaviour.call_tool) else None
