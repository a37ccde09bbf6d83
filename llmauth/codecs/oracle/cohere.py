"""Requests in Oracle's COHERE format: one message, what was said before it, and tools that have no ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from llmauth.chat.messages import ChatRequest, JsonSchema, Message, Text, Tool, ToolCall, ToolResult
from llmauth.chat.turns import folded, joined, leading
from llmauth.chat.words import Word
from llmauth.codecs.mapping import Admitted, Dropped, Refused, Sent, Table
from llmauth.codecs.oracle import rules
from llmauth.codecs.oracle.parameters import Nested, definitions
from llmauth.errors import BadRequest, UnsupportedParameter

_NEWER = "use a command-a model"

# What Cohere's models take as their parameters, in either format.
SAMPLING: Table = {
    **rules.SHARED,
    Word.MAX_TOKENS: Sent("maxTokens"),
    Word.TEMPERATURE: Sent("temperature", rules.within(0, 1), "more than 1 counts as 1"),
    Word.TOP_P: Sent("topP"),
    Word.TOP_K: Sent("topK"),
    Word.STOP: Sent("stopSequences"),
    Word.SEED: Sent("seed"),
    Word.N: Refused("one answer to each request"),
    Word.PRESENCE_PENALTY: Sent("presencePenalty", rules.within(0, 1), "from 0 to 1"),
    Word.FREQUENCY_PENALTY: Sent("frequencyPenalty", rules.within(0, 1), "from 0 to 1"),
    Word.LOGIT_BIAS: Dropped(),
    Word.METADATA: Dropped(),
    Word.SERVICE_TIER: Dropped(),
    Word.VERBOSITY: Dropped(),
    Word.PARALLEL_TOOL_CALLS: Dropped(),
    Word.PREDICTION: Dropped(),
    Word.WEB_SEARCH: Refused(),
    Word.DOCUMENT_DATA: Refused(),
    Word.DOCUMENT_URL: Refused(),
    Word.AUDIO_INPUT: Refused(),
    Word.TOOL_RESULT_IMAGE: Refused(),
    Word.JSON_OBJECT: Sent("responseFormat"),
    Word.JSON_SCHEMA: Sent("responseFormat.schema"),
}

TABLE: Table = {
    **SAMPLING,
    Word.LOGPROBS: Refused(_NEWER),
    Word.TOP_LOGPROBS: Refused(),
    Word.SYSTEM: Sent("preambleOverride"),
    Word.SYSTEM_LATER: Sent("chatHistory", note="role SYSTEM; after the last turn as the user's text"),
    Word.IMAGE_DATA: Refused(_NEWER),
    Word.IMAGE_URL: Refused(_NEWER),
    Word.TOOLS: Sent("tools.parameterDefinitions", note="schemas of one level; those with more are refused"),
    Word.TOOL_CHOICE_NONE: Sent("tools", note="no tool is offered"),
    Word.TOOL_CHOICE_REQUIRED: Refused(_NEWER),
    Word.TOOL_CHOICE_NAMED: Refused(_NEWER),
    Word.TOOL_ERROR: Sent("toolResults.outputs", note="as `error` instead of `output`"),
    Word.REASONING: Dropped("these models do not think first"),
    Word.THINKING_BACK: Dropped(),
}


def body(request: ChatRequest, admitted: Admitted) -> dict[str, Any]:
    """The structure of `chatRequest`: what is no parameter."""
    system, rest = leading(request.messages)
    turns = _merged(rest)
    told: dict[str, Any] = {"message": "", **_last(turns)}
    if history := list(_history(turns[:-1], _calls(turns))):
        told["chatHistory"] = history
    if system:
        told["preambleOverride"] = "\n\n".join(text.text for text in system)
    if request.tools and Word.TOOL_CHOICE_NONE not in admitted.features:
        told["tools"] = [_tool(tool, request) for tool in request.tools]
    if request.output is not None:
        told["responseFormat"] = output(request)
    return told


def output(request: ChatRequest) -> dict[str, Any]:
    """`responseFormat`, which is of one type with and without a schema."""
    if isinstance(request.output, JsonSchema):
        return {"type": "JSON_OBJECT", "schema": dict(request.output.schema)}
    return {"type": "JSON_OBJECT"}


def _merged(messages: Sequence[Message]) -> list[Message]:
    """Neighbours of one role as one; a system message at the very end is told by the user, who must have the word."""
    if messages and messages[-1].role in ("system", "developer"):
        messages = (*messages[:-1], *folded(messages[-1:]))
    return joined(messages)


def _last(turns: Sequence[Message]) -> dict[str, Any]:
    """What is to be answered now: the user's text, or what the tools gave, beside an empty message."""
    last = turns[-1] if turns else None
    if last is None or last.role == "user":
        return {"message": rules.words(last.parts, "\n")} if last else {}
    if last.role == "tool":
        return {"toolResults": list(_results(last, _calls(turns)))}
    raise UnsupportedParameter(
        "A conversation that ends with the assistant's own words is not supported by Oracle's Cohere models.",
        hint="End it with a message of the user's, or with the results of tools.",
        param="messages",
    )


def _history(turns: Iterable[Message], calls: dict[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for turn in turns:
        if turn.role == "tool":
            yield {"role": "TOOL", "toolResults": list(_results(turn, calls))}
        elif turn.role == "assistant":
            yield _chatbot(turn)
        else:
            yield {"role": "USER" if turn.role == "user" else "SYSTEM", "message": rules.words(turn.parts, "\n")}


def _chatbot(turn: Message) -> dict[str, Any]:
    told: dict[str, Any] = {"role": "CHATBOT", "message": rules.words(turn.parts)}
    if calls := [_call(part) for part in turn.parts if isinstance(part, ToolCall)]:
        told["toolCalls"] = calls
    return told


def _call(call: ToolCall) -> dict[str, Any]:
    return {"name": call.name, "parameters": rules.arguments_of(call)}


def _calls(turns: Iterable[Message]) -> dict[str, dict[str, Any]]:
    """Every call of the conversation by its id, which Oracle is not told."""
    return {part.id: _call(part) for turn in turns for part in turn.parts if isinstance(part, ToolCall)}


def _results(turn: Message, calls: dict[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """A result is told with the call that it answers in place of an id."""
    for part in turn.parts:
        if not isinstance(part, ToolResult):
            continue
        if part.call_id not in calls:
            raise BadRequest(
                f"A tool's result answers the call '{part.call_id[:80]}', which no message before it makes.",
                code="invalid_request",
                param="messages",
            )
        text = "".join(inner.text for inner in part.content if isinstance(inner, Text))
        yield {"call": calls[part.call_id], "outputs": [{"error" if part.error else "output": text}]}


def _tool(tool: Tool, request: ChatRequest) -> dict[str, Any]:
    """`description` is required; a tool without one is told by its name."""
    try:
        parameters = definitions(tool.schema)
    except Nested as nested:
        place = f"the parameter '{str(nested)[:50]}'" if str(nested) else "the schema"
        raise UnsupportedParameter(
            f"Tools of Oracle's older Cohere models take parameters of one level; {place} of '{tool.name}' has more.",
            hint="Use a command-a model.",
            param=request.named(Word.TOOLS),
        ) from None
    told: dict[str, Any] = {"name": tool.name, "description": tool.description or tool.name}
    return {**told, "parameterDefinitions": parameters} if parameters else told
