"""What no table of Claude's fields can say: the order of turns and tool calls, and thoughts that come back signed."""

from __future__ import annotations

from typing import Any

from llmauth.demo import thoughts
from llmauth.demo.shapes import Fault, Mismatch

THINKS = ("enabled", "adaptive", "between_tools")


def check_turns(body: dict[str, Any]) -> None:
    """Check the order of the turns, and what does not go with thinking; raises Mismatch."""
    messages = body["messages"]
    if messages[0]["role"] == "assistant":
        raise Mismatch(Fault.WRONG, "expected the first message to be the user's", "messages[0].role")
    asked: set[str] = set()
    for position, message in enumerate(messages):
        blocks = _blocks(message)
        answered = {block["tool_use_id"] for block in blocks if block["type"] == "tool_result"}
        if message["role"] == "user" and answered != asked:
            raise Mismatch(
                Fault.WRONG,
                "expected a tool_result for each tool_use of the message before, and for nothing else",
                f"messages[{position}]",
            )
        if message["role"] != "system":
            asked = {block["id"] for block in blocks if block["type"] == "tool_use"}
    _check_budget(body)


def _blocks(message: dict[str, Any]) -> list[dict[str, Any]]:
    return message["content"] if isinstance(message["content"], list) else []


def _check_budget(body: dict[str, Any]) -> None:
    thinking = body.get("thinking") or {}
    if "budget_tokens" in thinking and thinking["budget_tokens"] >= body.get("max_tokens", 2**31):
        raise Mismatch(Fault.WRONG, "expected less than max_tokens", "thinking.budget_tokens")


def check_thinking(body: dict[str, Any]) -> None:
    """Check a conversation with a model that may think; raises Mismatch.

    A signature is verified wherever it stands, also where thinking is off by now.
    """
    for position, message in enumerate(body["messages"]):
        for index, block in enumerate(_blocks(message)):
            _check_signature(block, f"messages[{position}].content[{index}]")
    kind = (body.get("thinking") or {}).get("type")
    if kind in THINKS:
        _check_beside(body)
    if kind == "enabled":  # an adaptive model decides by itself, and need not have thought
        _check_loop(body["messages"])


def _check_signature(block: dict[str, Any], place: str) -> None:
    if block["type"] == "thinking" and not thoughts.verifies(block["thinking"], block["signature"]):
        raise Mismatch(Fault.WRONG, "Invalid `signature` in `thinking` block", f"{place}.signature")
    if block["type"] == "redacted_thinking" and not thoughts.verifies("", block["data"]):
        raise Mismatch(Fault.WRONG, "Invalid `data` in `redacted_thinking` block", f"{place}.data")


def _check_beside(body: dict[str, Any]) -> None:
    choice = (body.get("tool_choice") or {}).get("type")
    if choice in ("any", "tool"):
        raise Mismatch(Fault.WRONG, "Thinking may not be enabled when tool use is forced", "tool_choice.type")
    if body.get("temperature", 1) != 1:
        raise Mismatch(Fault.WRONG, "may only be 1 when thinking is enabled", "temperature")
    if "top_k" in body:
        raise Mismatch(Fault.WRONG, "must be unset when thinking is enabled", "top_k")


def _check_loop(messages: list[dict[str, Any]]) -> None:
    """A turn whose tool results come now must begin with what the model thought."""
    if len(messages) < 2 or not any(block["type"] == "tool_result" for block in _blocks(messages[-1])):
        return
    position = max(index for index, message in enumerate(messages) if message["role"] == "assistant")
    first = _blocks(messages[position])[0]["type"]
    if first not in ("thinking", "redacted_thinking"):
        raise Mismatch(
            Fault.WRONG,
            f"Expected `thinking` or `redacted_thinking`, but found `{first}`: while thinking is enabled, "
            "an assistant's turn whose tools are answered now begins with its thoughts",
            f"messages[{position}].content[0].type",
        )
