"""Answers in Oracle's COHERE format, whole and in chunks whose last repeats everything."""

from __future__ import annotations

import json
from typing import Any

from llmauth.chat.events import ArgumentsDelta, CallStarted, Event, Finished, TextDelta, UsageTold
from llmauth.chat.messages import Choice, Part, Text, ToolCall, Usage
from llmauth.codecs.oracle import answers
from llmauth.codecs.reading import Node

_MORE = frozenset({"finishReason", "toolCalls", "usage"})


def parse(answer: Node) -> tuple[tuple[Choice, ...], Usage | None]:
    """The one choice and the tokens of `chatResponse`."""
    text = answer.text_of("text")
    parts: tuple[Part, ...] = (*([Text(text)] if text else ()), *calls(answer))
    told = answers.finish_of(answer.need("finishReason").text(), parts, answer.text_of("errorMessage"))
    return (Choice(parts=parts, finish=told),), answers.usage_of(answer)


def calls(node: Node) -> list[ToolCall]:
    """The calls, each with an id made of its place, its name and its parameters."""
    return [_call(call, place) for place, call in enumerate(node.list_of("toolCalls"))]


def _call(node: Node, place: int) -> ToolCall:
    name, arguments = node.need("name").text(), written(node.get("parameters"))
    return ToolCall(answers.call_id(place, name, arguments), name, arguments)


def written(parameters: Node | None) -> str:
    """Parameters, which are an object, as JSON text."""
    if parameters is None:
        return "{}"
    try:
        return json.dumps(parameters.object(), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except (ValueError, RecursionError):
        parameters.fail("is not JSON")


class Repeated:
    """Text that comes in pieces, and at the end once more as a whole."""

    def __init__(self) -> None:
        self._pieces: list[str] = []

    def piece(self, text: str) -> str:
        """The piece, remembered; TypeError for what is no text."""
        if not isinstance(text, str):
            raise TypeError
        self._pieces.append(text)
        return text

    def rest(self, whole: str, *, repeats: bool) -> str:
        """What the last chunk's text adds. `repeats` says that it is known to be the whole, spaces apart."""
        told = "".join(self._pieces)
        if not told or not whole.startswith(told):
            return "" if told and (repeats or whole.strip() == told.strip()) else whole
        return whole[len(told) :]


class RepeatedCalls:
    """Calls that come whole, and at the end once more: those that stand where they stood are the same."""

    def __init__(self) -> None:
        self._told: list[tuple[str, str]] = []

    @property
    def any(self) -> bool:
        """Whether there was a call."""
        return bool(self._told)

    def more(self, found: list[ToolCall], *, last: bool) -> list[Event]:
        """The events of those that were not told yet; the last chunk has them all."""
        known = len(self._told)
        again = last or [(call.name, call.arguments) for call in found[:known]] == self._told
        events: list[Event] = []
        for call in found[known:] if again else found:
            number = len(self._told)
            id_ = call.id if again else answers.call_id(number, call.name, call.arguments)
            events.append(CallStarted(number, id_, call.name))
            events.append(ArgumentsDelta(number, call.arguments))
            self._told.append((call.name, call.arguments))
        return events


class CohereChunks:
    """`{text, toolCalls?, finishReason?, chatHistory?}`: the chunk with `finishReason` is the answer as a whole."""

    def __init__(self) -> None:
        self.complete = False
        self._text = Repeated()
        self._calls = RepeatedCalls()

    def take(self, chunk: dict[str, Any]) -> list[Event]:
        """See Chunks."""
        if not self.complete and not chunk.keys() & _MORE:
            text = chunk.get("text")
            return [TextDelta(self._text.piece(text))] if text else []
        node = Node(chunk)
        events = self._said(node) if not self.complete else []
        if usage := node.get("usage"):
            events.append(UsageTold(answers.usage(usage)))
        return events

    def _said(self, chunk: Node) -> list[Event]:
        text, reason = chunk.text_of("text"), chunk.text_of("finishReason")
        whole = chunk.get("chatHistory") is not None
        text = self._text.rest(text, repeats=whole) if reason else self._text.piece(text)
        events: list[Event] = [TextDelta(text)] if text else []
        events.extend(self._calls.more(calls(chunk), last=bool(reason)))
        if reason:
            told = answers.finish(reason, calls=self._calls.any, message=chunk.text_of("errorMessage"))
            events.append(Finished(told))
            self.complete = True
        return events
