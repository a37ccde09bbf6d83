"""What no table of Converse's fields can say: answers to calls of tools, and the thoughts of Claude that come back."""

from __future__ import annotations

from typing import Any

from llmauth.demo import claude_shapes, thoughts
from llmauth.demo.bedrock_models import Model
from llmauth.demo.claude_turns import THINKS
from llmauth.demo.shapes import Fault, Mismatch, list_of, record, text

# What Claude itself takes beside Converse's members.
_claude = record({**claude_shapes.MESSAGE, "anthropic_beta": list_of(text), "anthropic_version": text})


def check_turns(body: dict[str, Any], model: Model) -> None:
    """Check a conversation with this model; raises Mismatch."""
    _check_answers(body["messages"])
    if model.vendor != "anthropic":
        return
    try:
        _claude(body.get("additionalModelRequestFields") or {})
    except Mismatch as mismatch:
        raise mismatch.under("additionalModelRequestFields") from None
    for position, message in enumerate(body["messages"]):
        for index, block in enumerate(message["content"]):
            _check_signature(block, f"messages[{position}].content[{index}].reasoningContent")
    _check_thinking(body)


def _check_answers(messages: list[dict[str, Any]]) -> None:
    """ "Expected toolResult blocks for the following Ids", and no others."""
    asked: set[str] = set()
    for position, message in enumerate(messages):
        answered = {block["toolResult"]["toolUseId"] for block in message["content"] if "toolResult" in block}
        if message["role"] == "user" and answered != asked:
            wanted = "expected a toolResult for each toolUse of the message before, and for nothing else"
            raise Mismatch(Fault.WRONG, wanted, f"messages[{position}].content")
        if message["role"] != "system":
            asked = {block["toolUse"]["toolUseId"] for block in message["content"] if "toolUse" in block}


def _check_signature(block: dict[str, Any], place: str) -> None:
    reasoning = block.get("reasoningContent") or {}
    told = reasoning.get("reasoningText")
    if told is not None and not thoughts.verifies(str(told.get("text", "")), told.get("signature")):
        raise Mismatch(Fault.WRONG, "Invalid `signature` in `thinking` block", f"{place}.reasoningText.signature")
    if "redactedContent" in reasoning and not thoughts.verifies("", reasoning["redactedContent"]):
        raise Mismatch(Fault.WRONG, "Invalid `data` in `redacted_thinking` block", f"{place}.redactedContent")


def _check_thinking(body: dict[str, Any]) -> None:
    fields = body.get("additionalModelRequestFields") or {}
    kind = (fields.get("thinking") or {}).get("type")
    if kind not in THINKS:
        return
    config = body.get("inferenceConfig") or {}
    if ((body.get("toolConfig") or {}).get("toolChoice") or {}).keys() & {"any", "tool"}:
        raise Mismatch(Fault.WRONG, "Thinking may not be enabled when tool use is forced", "toolConfig.toolChoice")
    if config.get("temperature", 1) != 1:
        raise Mismatch(Fault.WRONG, "may only be 1 when thinking is enabled", "inferenceConfig.temperature")
    if fields["thinking"].get("budget_tokens", 0) >= config.get("maxTokens", 2**31):
        wanted = "expected less than maxTokens"
        raise Mismatch(Fault.WRONG, wanted, "additionalModelRequestFields.thinking.budget_tokens")
    if kind == "enabled":  # an adaptive model decides by itself, and need not have thought
        _check_loop(body["messages"])


def _check_loop(messages: list[dict[str, Any]]) -> None:
    """A turn whose tool results come now must begin with what the model thought."""
    if len(messages) < 2 or not any("toolResult" in block for block in messages[-1]["content"]):
        return
    position = max(index for index, message in enumerate(messages) if message["role"] == "assistant")
    first = messages[position]["content"][0]
    if "reasoningContent" not in first:
        raise Mismatch(
            Fault.WRONG,
            f"Expected `thinking` or `redacted_thinking`, but found `{next(iter(first))}`: while thinking is enabled, "
            "an assistant's turn whose tools are answered now begins with its thoughts",
            f"messages[{position}].content[0].type",
        )
