"""Answers in Oracle's COHEREV2 format, whole and in chunks."""

from __future__ import annotations

from typing import Any

from llmauth.chat.events import Event, Finished, LogprobsDelta, TextDelta, ThinkingDelta, UsageTold
from llmauth.chat.messages import Choice, Part, Text, Thinking, ToolCall, Usage
from llmauth.codecs.oracle import answers
from llmauth.codecs.oracle.calls import PiecedCalls
from llmauth.codecs.oracle.cohere_answers import Repeated, written
from llmauth.codecs.oracle.generic_answers import likely
from llmauth.codecs.reading import Node

_MORE = frozenset({"finishReason", "logProbabilities", "usage"})
_PLAIN = frozenset({"role", "content"})


def parse(answer: Node) -> tuple[tuple[Choice, ...], Usage | None]:
    """The one choice and the tokens of `chatResponse`."""
    message = answer.need("message")
    thinking, text = _thinking(message), _text(message)
    parts: tuple[Part, ...] = (
        *([Thinking(thinking)] if thinking else ()),
        *([Text(text)] if text else ()),
        *_calls(message),
    )
    told = answers.finish_of(answer.need("finishReason").text(), parts, answer.text_of("errorMessage"))
    content = _logprobs(answer)
    choice = Choice(parts=parts, finish=told, logprobs={"content": list(content)} if content else None)
    return (choice,), answers.usage_of(answer)


def _thinking(message: Node) -> str:
    return "".join(part.text_of("thinking") for part in message.list_of("content"))


def _text(message: Node) -> str:
    """What the model means to do with its tools, and its answer."""
    return message.text_of("toolPlan") + "".join(part.text_of("text") for part in message.list_of("content"))


def _calls(message: Node) -> list[ToolCall]:
    return [_call(call, place) for place, call in enumerate(message.list_of("toolCalls"))]


def _call(node: Node, place: int) -> ToolCall:
    id_, name, arguments = _members(node)
    if not name:
        node.fail("has no name")
    return ToolCall(id_ or answers.call_id(place, name, arguments), name, arguments)


def _members(call: Node) -> tuple[str, str, str]:
    """`function` is declared as any object; its arguments are JSON text, as in Cohere's own API, or an object."""
    function = call.need("function")
    given = function.get("arguments")
    text = given is None or isinstance(given.value, str)
    arguments = function.text_of("arguments") if text else written(given)
    return call.text_of("id"), function.text_of("name"), arguments


def _logprobs(answer: Node) -> tuple[dict[str, Any], ...]:
    """One entry for each piece of text; the probability of a piece is the product of its tokens'."""
    return tuple(
        {
            **likely(node.text_of("text"), sum(number.number() for number in node.list_of("logProbabilities"))),
            "top_logprobs": [],
        }
        for node in answer.list_of("logProbabilities")
    )


def _plain(chunk: dict[str, Any]) -> str:
    """The text of a chunk that says nothing else, as nearly all do; empty for the others."""
    message = chunk.get("message")
    if chunk.keys() & _MORE or not isinstance(message, dict) or message.keys() - _PLAIN:
        return ""
    content = message.get("content")
    part = content[0] if isinstance(content, list) and len(content) == 1 else None
    text = part.get("text") if isinstance(part, dict) else None
    return text if isinstance(text, str) else ""


class CohereV2Chunks:
    """`{id?, message, finishReason?, usage?}`, where a last chunk may repeat the whole of text and calls."""

    def __init__(self) -> None:
        self.complete = False
        self._text = Repeated()
        self._thinking = Repeated()
        self._calls = PiecedCalls(0)

    def take(self, chunk: dict[str, Any]) -> list[Event]:
        """See Chunks."""
        if (text := _plain(chunk)) and not self.complete:
            self._calls.interrupt()
            return [TextDelta(self._text.piece(text))]
        node = Node(chunk)
        events = self._said(node) if not self.complete else []
        if usage := node.get("usage"):
            events.append(UsageTold(answers.usage(usage)))
        return events

    def _said(self, chunk: Node) -> list[Event]:
        reason, events = chunk.text_of("finishReason"), list[Event]()
        if message := chunk.get("message"):
            events.extend(self._message(message, last=bool(reason)))
        if content := _logprobs(chunk):
            events.append(LogprobsDelta(content))
        if reason:
            told = answers.finish(reason, calls=bool(self._calls), message=chunk.text_of("errorMessage"))
            events.append(Finished(told))
            self.complete = True
        return events

    def _message(self, message: Node, *, last: bool) -> list[Event]:
        thinking, text = _thinking(message), _text(message)
        if last:
            thinking, text = (
                self._thinking.rest(thinking, repeats=False),
                self._text.rest(text, repeats=False),
            )
        events: list[Event] = [ThinkingDelta(self._thinking.piece(thinking))] if thinking else []
        if text:
            events.append(TextDelta(self._text.piece(text)))
        if events:
            self._calls.interrupt()
        if not (last and self._calls):
            for call in message.list_of("toolCalls"):
                events.extend(self._calls.piece(*_members(call)))
        return events
