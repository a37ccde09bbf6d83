"""Tool results as Gemini takes them: an object, under the name of the function that was called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmauth.chat.messages import Document, Image, Text, ToolCall, ToolResult
from llmauth.codecs.gemini.media import media
from llmauth.codecs.reading import Malformed, parse
from llmauth.errors import BadRequest

Part = dict[str, Any]


Placed = tuple[int, ToolCall]
"""A call, and which one of the conversation it is."""


def answered(results: list[ToolResult], calls: Mapping[str, Placed], *, newest: bool) -> list[Part]:
    """The parts for the results of one turn, in the order of their calls: the calls of one function differ by nothing
    else where they have no ids. BadRequest where a call is not known.

    `newest` says that the model is a Gemini 3, which takes ids, and pictures inside of a result; others know a result
    by its place, and see pictures after the results.
    """
    placed = [(_call_of(result, calls), result) for result in results]
    placed.sort(key=lambda pair: pair[0][0])
    known = [(call, result) for (_, call), result in placed]
    parts = [_part(call, result, newest) for call, result in known]
    if not newest:
        parts += [media(inner) for _, result in known for inner in _shown(result)]
    return parts


def arguments(call: ToolCall) -> dict[str, Any]:
    """A call's arguments as the object that Gemini wants; BadRequest where they are none."""
    if not call.arguments.strip():
        return {}
    try:
        value = parse(call.arguments)
    except Malformed as malformed:
        raise _bad_arguments(call, malformed.fault) from None
    if not isinstance(value, dict):
        raise _bad_arguments(call, "not a JSON object")
    return value


def _bad_arguments(call: ToolCall, fault: str) -> BadRequest:
    return BadRequest(
        f"The arguments of the tool call '{call.id[:80]}' are {fault}.",
        hint="Send the arguments of earlier calls as the model wrote them.",
        code="invalid_request",
    )


def _call_of(result: ToolResult, calls: Mapping[str, Placed]) -> Placed:
    if result.call_id not in calls:
        raise BadRequest(
            f"There is a tool result with tool_call_id '{result.call_id[:80]}', and no earlier call has this id.",
            hint="Send the assistant's message with the call before its result.",
            code="invalid_request",
        )
    return calls[result.call_id]


def _part(call: ToolCall, result: ToolResult, newest: bool) -> Part:
    response: Part = {"name": call.name, "response": _response(result)}
    if newest and result.call_id:
        response["id"] = result.call_id
    shown = [media(inner) for inner in _shown(result)]
    if newest and shown:
        response["parts"] = shown
    return {"functionResponse": response}


def _shown(result: ToolResult) -> list[Image | Document]:
    return [inner for inner in result.content if not isinstance(inner, Text)]


def _response(result: ToolResult) -> dict[str, Any]:
    """An object that a tool gave stays what it is: "If "output" and "error" keys are not specified, then whole
    "response" is treated as function output".
    """
    text = "\n".join(inner.text for inner in result.content if isinstance(inner, Text))
    if result.error:
        return {"error": text}
    try:
        value = parse(text)
    except Malformed:
        return {"output": text}
    return value if isinstance(value, dict) else {"output": text}
