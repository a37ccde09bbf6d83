"""A stream's events, gathered into the whole answer that they are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from llmauth.chat.events import (
    ArgumentsDelta,
    CallStarted,
    Cited,
    Event,
    Failed,
    Finished,
    LogprobsDelta,
    RedactedThinking,
    RefusalDelta,
    Started,
    TextDelta,
    TextSigned,
    ThinkingDelta,
    ThinkingSigned,
    UsageTold,
)
from llmauth.chat.messages import (
    ChatResponse,
    Choice,
    Finish,
    Part,
    Redacted,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    Usage,
)


@dataclass(slots=True)
class _Answer:
    """One choice so far."""

    parts: list[Part] = field(default_factory=list)
    spoken: list[str] = field(default_factory=list)  # what was added to the last part, not yet put together
    calls: dict[int, int] = field(default_factory=dict)  # number of the call to its place in `parts`
    arguments: dict[int, list[str]] = field(default_factory=dict)  # the same of each call
    finish: Finish | None = None
    stop_sequence: str | None = None
    logprobs: list[object] = field(default_factory=list)


class Collector:
    """Takes events one by one. `failed` is the event that ended a stream which did not come to its end."""

    def __init__(self) -> None:
        self.started = Started()
        self.usage: Usage | None = None
        self.failed: Failed | None = None
        self._answers: dict[int, _Answer] = {}

    def take(self, event: Event) -> None:
        """One more event."""
        if isinstance(event, Started):
            self.started = event
        elif isinstance(event, UsageTold):
            self.usage = event.usage
        elif isinstance(event, Failed):
            self.failed = event
        else:
            _add(self._answers.setdefault(event.choice, _Answer()), event)

    def response(self) -> ChatResponse:
        """The answer as far as it came; a choice that was not finished counts as stopped."""
        for answer in self._answers.values():
            _settle(answer)
            _settle_calls(answer)
        choices = tuple(
            Choice(
                parts=tuple(answer.parts),
                finish=answer.finish or Finish.STOP,
                index=index,
                stop_sequence=answer.stop_sequence,
                logprobs={"content": answer.logprobs} if answer.logprobs else None,
            )
            for index, answer in sorted(self._answers.items())
        )
        return ChatResponse(id=self.started.id, model=self.started.model, choices=choices, usage=self.usage)


def collect(events: Iterable[Event]) -> ChatResponse:
    """The whole answer of a stream that is over."""
    collector = Collector()
    for event in events:
        collector.take(event)
    return collector.response()


_SPOKEN: dict[type, type[Text | Thinking | Refusal]] = {
    TextDelta: Text,
    ThinkingDelta: Thinking,
    RefusalDelta: Refusal,
}


def _add(answer: _Answer, event: Event) -> None:
    if isinstance(event, TextDelta | ThinkingDelta | RefusalDelta):
        _say(answer, _SPOKEN[type(event)], event.text)
    elif isinstance(event, ArgumentsDelta):
        answer.arguments[event.call].append(event.json)
    elif isinstance(event, CallStarted):
        _settle(answer)
        answer.calls[event.call] = len(answer.parts)
        answer.arguments[event.call] = []
        answer.parts.append(ToolCall(event.id, event.name, "", event.signature))
    elif isinstance(event, Finished):
        answer.finish, answer.stop_sequence = event.finish, event.stop_sequence
    elif isinstance(event, LogprobsDelta):
        answer.logprobs.extend(event.content)
    else:
        _settle(answer)
        _add_mark(answer.parts, event)


def _say(answer: _Answer, kind: type[Text | Thinking | Refusal], text: str) -> None:
    last = answer.parts[-1] if answer.parts else None
    if type(last) is not kind or (isinstance(last, Thinking) and last.signature is not None):
        _settle(answer)
        answer.parts.append(kind(""))
    answer.spoken.append(text)


def _settle(answer: _Answer) -> None:
    """Put together what came in pieces: once, since to do it with each of them costs the square of the length."""
    if answer.spoken:
        last = answer.parts[-1]
        assert isinstance(last, Text | Thinking | Refusal)
        answer.parts[-1] = replace(last, text=last.text + "".join(answer.spoken))
        answer.spoken.clear()


def _settle_calls(answer: _Answer) -> None:
    for number, pieces in answer.arguments.items():
        if pieces:
            call = answer.parts[answer.calls[number]]
            assert isinstance(call, ToolCall)
            answer.parts[answer.calls[number]] = replace(call, arguments=call.arguments + "".join(pieces))
            pieces.clear()


def _add_mark(parts: list[Part], event: Event) -> None:
    """What says something of a part that is there, or stands for itself."""
    last = parts[-1] if parts else None
    if isinstance(event, ThinkingSigned):
        if isinstance(last, Thinking) and last.signature is None:
            parts[-1] = replace(last, signature=event.signature)
        else:
            parts.append(Thinking("", event.signature))
    elif isinstance(event, RedactedThinking):
        parts.append(Redacted(event.data))
    elif isinstance(event, TextSigned):
        if isinstance(last, Text):
            parts[-1] = replace(last, signature=event.signature)
        else:
            parts.append(Text("", signature=event.signature))
    elif isinstance(event, Cited) and isinstance(last, Text):
        parts[-1] = replace(last, citations=(*last.citations, event.citation))
