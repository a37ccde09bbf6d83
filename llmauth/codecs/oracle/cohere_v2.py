"""Requests in Oracle's COHEREV2 format, for command-a models and later: a list of messages, tools with ids."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llmauth.chat.messages import (
    ChatRequest,
    Choose,
    Image,
    Message,
    Named,
    Part,
    Reasoning,
    Refusal,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from llmauth.chat.words import Word
from llmauth.codecs.mapping import Admitted, Dropped, Refused, Sent, Table
from llmauth.codecs.oracle import cohere, rules

_BUDGETS = {"minimal": 128, "low": 1024, "medium": 2048, "high": 4096, "xhigh": 16384}

BASE: Table = {
    **cohere.SAMPLING,
    Word.LOGPROBS: Sent("isLogProbsEnabled"),
    Word.TOP_LOGPROBS: Refused("only of the tokens that were chosen"),
    Word.SYSTEM: Sent("messages"),
    Word.SYSTEM_LATER: Sent("messages", note="where it stands"),
    Word.IMAGE_DATA: Sent("messages.content.imageUrl"),
    Word.IMAGE_URL: Sent("messages.content.imageUrl", note="as it is"),
    Word.TOOLS: Sent("tools"),
    Word.TOOL_CHOICE_NONE: Sent("toolsChoice"),
    Word.TOOL_CHOICE_REQUIRED: Sent("toolsChoice"),
    Word.TOOL_CHOICE_NAMED: Sent("toolsChoice", note="REQUIRED, and no other tool is offered"),
    Word.TOOL_ERROR: Dropped("the result itself says it"),
    Word.REASONING: Sent("thinking", note="an effort as a budget of tokens"),
    Word.THINKING_BACK: Sent("messages.content.thinking", note="without what another family signed"),
}


def table(model: str) -> Table:
    """Of Cohere's models those that think say so in their name; the others refuse to be asked."""
    if "reasoning" in model:
        return BASE
    dropped = Dropped("this model does not think first")
    return {**BASE, Word.REASONING: dropped, Word.THINKING_BACK: dropped}


def body(request: ChatRequest, admitted: Admitted) -> dict[str, Any]:
    """The structure of `chatRequest`: what is no parameter."""
    thinking = Word.THINKING_BACK in admitted.features
    told: dict[str, Any] = {"messages": [one for turn in request.messages for one in _messages(turn, thinking)]}
    if request.tools:
        told.update(_tools(request))
    if request.output is not None:
        told["responseFormat"] = cohere.output(request)
    if request.reasoning is not None and Word.REASONING in admitted.features:
        told["thinking"] = _thinking(request.reasoning, admitted.parameters.get(Word.MAX_TOKENS))
    return told


def _tools(request: ChatRequest) -> dict[str, Any]:
    choice, tools = request.tool_choice, request.tools
    if isinstance(choice, Named):
        tools = tuple(tool for tool in tools if tool.name == choice.name) or tools
    told: dict[str, Any] = {"tools": [_tool(tool) for tool in tools]}
    if choice not in (None, Choose.AUTO):
        told["toolsChoice"] = "NONE" if choice is Choose.NONE else "REQUIRED"
    return told


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name, "parameters": rules.schema_of(tool)}
    if tool.description:
        function["description"] = tool.description
    return {"type": "FUNCTION", "function": function}


def _thinking(reasoning: Reasoning, most: int | None) -> dict[str, Any]:
    """Without a budget a model thinks as long as it likes; a budget leaves room for the answer."""
    if reasoning.effort == "none":
        return {"type": "DISABLED"}
    budget = reasoning.budget or _BUDGETS.get(reasoning.effort or "")
    if budget is not None and most is not None:
        budget = min(budget, most - 1)
    return {"type": "ENABLED", "tokenBudget": budget} if budget else {"type": "ENABLED"}


def _messages(message: Message, thinking: bool) -> Iterator[dict[str, Any]]:
    if message.role == "tool":
        yield from (_result(part) for part in message.parts if isinstance(part, ToolResult))
    elif message.role == "assistant":
        yield _assistant(message, thinking)
    else:
        role = "USER" if message.role == "user" else "SYSTEM"
        yield {"role": role, "content": [_content(part) for part in message.parts]}


def _assistant(message: Message, thinking: bool) -> dict[str, Any]:
    content: list[dict[str, Any]] = []
    if thinking and (thought := rules.own_thinking(message.parts)):
        content.append({"type": "THINKING", "thinking": thought})
    content.extend(_content(part) for part in message.parts if isinstance(part, Text | Refusal))
    told: dict[str, Any] = {"role": "ASSISTANT", "content": content}
    if calls := [_call(part) for part in message.parts if isinstance(part, ToolCall)]:
        told["toolCalls"] = calls
    return told


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments or "{}"}
    return {"id": call.id, "type": "FUNCTION", "function": function}


def _result(result: ToolResult) -> dict[str, Any]:
    content = [_content(part) for part in result.content] or [{"type": "TEXT", "text": ""}]
    return {"role": "TOOL", "toolCallId": result.call_id, "content": content}


def _content(part: Part) -> dict[str, Any]:
    if isinstance(part, Image):
        return {"type": "IMAGE_URL", "imageUrl": rules.image_url(part)}
    assert isinstance(part, Text | Refusal)
    return {"type": "TEXT", "text": part.text}
