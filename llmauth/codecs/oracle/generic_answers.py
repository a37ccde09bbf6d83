"""Answers in Oracle's GENERIC format, whole and in chunks."""

from __future__ import annotations

import math
from typing import Any

from llmauth.chat.events import (
    Cited,
    Event,
    Finished,
    LogprobsDelta,
    RefusalDelta,
    TextDelta,
    ThinkingDelta,
    UsageTold,
)
from llmauth.chat.messages import Choice, Citation, Part, Refusal, Text, Thinking, ToolCall, Usage
from llmauth.codecs.oracle import answers
from llmauth.codecs.oracle.calls import PiecedCalls
from llmauth.codecs.reading import Node

# How OpenAI writes a token that could hardly have come: JSON knows no infinity.
_UNLIKELY = -9999.0


def parse(answer: Node) -> tuple[tuple[Choice, ...], Usage | None]:
    """The choices and the tokens of `chatResponse`."""
    choices = answer.list_of("choices")
    if not choices:
        answer.need("choices").fail("has no choice")
    return tuple(_choice(node, place) for place, node in enumerate(choices)), answers.usage_of(answer)


def _choice(node: Node, place: int) -> Choice:
    index, probabilities = node.get("index"), node.get("logprobs")
    message, reason = node.get("message"), node.text_of("finishReason")
    parts = _parts(message if message or reason else node.need("message"))
    content = logprobs(probabilities) if probabilities else ()
    return Choice(
        index=place if index is None else index.integer(0),
        parts=parts,
        finish=answers.finish_of(reason, parts),
        logprobs={"content": list(content)} if content else None,
    )


def _parts(message: Node | None) -> tuple[Part, ...]:
    """A filter may have left no message, only a reason."""
    if message is None:
        return ()
    parts: list[Part] = []
    if thinking := message.text_of("reasoningContent"):
        parts.append(Thinking(thinking))
    if text := "".join(part.text_of("text") for part in message.list_of("content")):
        parts.append(Text(text, citations=tuple(citations(message))))
    if refusal := message.text_of("refusal"):
        parts.append(Refusal(refusal))
    parts.extend(_call(call, place) for place, call in enumerate(message.list_of("toolCalls")))
    return tuple(parts)


def _call(node: Node, place: int) -> ToolCall:
    name, arguments = node.need("name").text(), node.text_of("arguments")
    return ToolCall(node.text_of("id") or answers.call_id(place, name, arguments), name, arguments)


def citations(message: Node) -> list[Citation]:
    """Where a text took something from, told by `annotations`."""
    cited = [note.get("urlCitation") for note in message.list_of("annotations")]
    return [
        Citation(node.need("url").text(), node.text_of("title"), _place(node, "startIndex"), _place(node, "endIndex"))
        for node in cited
        if node is not None
    ]


def _place(node: Node, name: str) -> int | None:
    member = node.get(name)
    return None if member is None else member.integer()


def logprobs(node: Node) -> tuple[dict[str, Any], ...]:
    """Oracle's lists, one entry for each token, as OpenAI's list of objects."""
    chosen, tops = node.list_of("tokenLogprobs"), node.list_of("topLogprobs")
    told = []
    for place, token in enumerate(node.list_of("tokens")):
        entry = likely(token.text(), chosen[place].value if place < len(chosen) else None)
        others = tops[place].value if place < len(tops) else None
        told.append({**entry, "top_logprobs": _others(others)})
    return tuple(told)


def _others(value: Any) -> list[dict[str, Any]]:
    return [likely(token, number) for token, number in value.items()] if isinstance(value, dict) else []


def likely(token: str, value: Any) -> dict[str, Any]:
    """One token as OpenAI tells it. Numbers of `topLogprobs` are declared as strings, and may come as either."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = _UNLIKELY
    told = number if math.isfinite(number) else _UNLIKELY
    return {"token": token, "logprob": told, "bytes": list(token.encode("utf-8", "replace"))}


class _Answer:
    """One choice so far."""

    def __init__(self, index: int) -> None:
        self.calls = PiecedCalls(index)
        self.refused = False
        self.finished = False


class GenericChunks:
    """`{index, message, finishReason?, usage?}`: what a message has in a chunk is added to what it had."""

    def __init__(self) -> None:
        self._answers: dict[int, _Answer] = {}

    @property
    def complete(self) -> bool:
        """See Chunks."""
        return bool(self._answers) and all(answer.finished for answer in self._answers.values())

    def take(self, chunk: dict[str, Any]) -> list[Event]:
        """See Chunks."""
        events: list[Event] = []
        if chunk.get("message") is not None or chunk.get("finishReason") is not None:
            index = Node(chunk.get("index") or 0, "index").integer(0, 127)
            answer = self._answers.get(index) or self._answers.setdefault(index, _Answer(index))
            if not answer.finished:
                self._answer(chunk, index, answer, events)
        if usage := chunk.get("usage"):
            events.append(UsageTold(answers.usage(Node(usage, "usage"))))
        return events

    def _answer(self, chunk: dict[str, Any], index: int, answer: _Answer, events: list[Event]) -> None:
        if message := chunk.get("message"):
            self._message(message, index, answer, events)
        if (told := chunk.get("logprobs")) and (content := logprobs(Node(told, "logprobs"))):
            events.append(LogprobsDelta(content, index))
        if reason := chunk.get("finishReason"):
            found = answers.finish(reason, calls=bool(answer.calls), refused=answer.refused)
            events.append(Finished(found, choice=index))
            answer.finished = True

    def _message(self, message: dict[str, Any], index: int, answer: _Answer, events: list[Event]) -> None:
        if thinking := message.get("reasoningContent"):
            events.append(ThinkingDelta(_text(thinking), index))
        for part in message.get("content") or ():
            if text := part.get("text"):
                events.append(TextDelta(_text(text), index))
        if message.get("annotations"):
            events.extend(Cited(citation, index) for citation in citations(Node(message, "message")))
        if refusal := message.get("refusal"):
            answer.refused = True
            events.append(RefusalDelta(_text(refusal), index))
        if events:
            answer.calls.interrupt()
        for call in message.get("toolCalls") or ():
            events.extend(answer.calls.piece(*(_text(call.get(key) or "") for key in ("id", "name", "arguments"))))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
