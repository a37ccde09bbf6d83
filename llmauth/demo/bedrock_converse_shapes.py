"""What Bedrock's Converse takes: its fields as tables, and the tools that a conversation of calls must name."""

from __future__ import annotations

from typing import Any

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
    "projectIdentifier": text,
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
