"""Neutral events to the events of a Responses stream, item by item, and the whole response at its end."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from llmauth.chat import events
from llmauth.chat.messages import Finish, Redacted, Thinking, Usage
from llmauth.codecs.base import Answering
from llmauth.codecs.responses import failing, output
from llmauth.codecs.responses.frame import Frame
from llmauth.codecs.responses.output import Json, Status
from llmauth.codecs.responses.sealing import sealed
from llmauth.codecs.responses.spoken import Call, Item, Message, Reasoning
from llmauth.codecs.responses.writing import Writer, dumps
from llmauth.errors import BrokenAnswer, GatewayError


class Encoder:
    """One stream. Only the first choice has a place here, and nobody could ask for a second.

    The end of an answer is told with its usage, and a provider may tell usage last: what ends it waits for `close`.
    """

    def __init__(self, answering: Answering) -> None:
        self._answer = answering.id
        self._writer = Writer()
        self._frame = Frame(answering)
        self._items: list[Item] = []
        self._current: Message | Reasoning | None = None
        self._calls: dict[int, Call] = {}
        self._latest: Call | None = None
        self._pending: list[object] = []  # log probabilities
        self._refused = False
        self._finish: Finish | None = None
        self._usage: Usage | None = None
        self._begun = False
        self._over = False

    def encode(self, event: events.Event) -> bytes:
        """What this event writes, maybe nothing; a failure writes the end of the stream."""
        if self._over or getattr(event, "choice", 0) != 0:
            return b""
        opening = b"" if self._begun else self._begin()
        return opening + _WRITERS[type(event)](self, event)

    def close(self) -> bytes:
        """The last words: `response.completed` or `response.incomplete`, with usage. There is no `[DONE]` here."""
        if self._over:
            return b""
        if self._finish is None:
            opening = b"" if self._begun else self._begin()
            return opening + self._fail(BrokenAnswer("The provider's answer ended before it was complete."))
        reason = output.reason(self._finish, refused=self._refused)
        closing = self._end_all(complete=reason is None)
        if not self._items and reason is None:
            closing = self._say_nothing()
        self._over = True
        status: Status = "completed" if reason is None else "incomplete"
        told = self._frame.told(status, self._output(), usage=self._usage, reason=reason)
        return closing + self._writer.event(f"response.{status}", response=told)

    def _begin(self) -> bytes:
        self._begun = True
        rest = b',"response":' + dumps(self._frame.told("in_progress", [])) + b"}"
        created = self._writer.spliced("response.created", rest)
        return created + self._writer.spliced("response.in_progress", rest)

    def _output(self) -> list[Json]:
        return [item.told for item in self._items if item.told is not None]

    # Items: at most one message or thought is open; calls beside it, until their arguments are complete.

    def _message(self) -> tuple[Message, bytes]:
        if isinstance(self._current, Message):
            return self._current, b""
        closing = self._end_current() + self._end_call()
        self._current = Message(self._writer, self._answer, len(self._items))
        self._items.append(self._current)
        return self._current, closing + self._current.begin()

    def _reasoning(self) -> tuple[Reasoning, bytes]:
        if isinstance(self._current, Reasoning):
            return self._current, b""
        closing = self._end_current() + self._end_call()
        self._current = Reasoning(self._writer, self._answer, len(self._items))
        self._items.append(self._current)
        return self._current, closing + self._current.begin()

    def _end_current(self) -> bytes:
        current, self._current = self._current, None
        return b"" if current is None else current.end("completed")

    def _end_call(self) -> bytes:
        """A client may run a call as soon as it is done; one that goes on beside others stays open until the end.

        Each is looked at once: a provider that goes to and fro costs no more than one that does not.
        """
        latest, self._latest = self._latest, None
        return latest.end("completed") if latest is not None and _complete(latest.arguments) else b""

    def _end_all(self, *, complete: bool) -> bytes:
        """Of an answer that was cut off, the last item is."""
        self._current = self._latest = None
        last = len(self._items) - 1
        return b"".join(
            item.end("completed" if complete or item.index < last else "incomplete")
            for item in self._items
            if item.told is None
        )

    def _say_nothing(self) -> bytes:
        message, opening = self._message()
        return opening + message.nothing() + self._end_current()

    # One writer for each type of event.

    def _started(self, event: events.Started) -> bytes:
        return b""

    def _say(self, event: events.TextDelta) -> bytes:
        if not event.text:
            return b""
        message, opening = self._message()
        said = opening + message.say(event.text)
        return said + self._weigh_pending() if self._pending else said

    def _refuse(self, event: events.RefusalDelta) -> bytes:
        if not event.text:
            return b""
        self._refused = True
        message, opening = self._message()
        return opening + message.refuse(event.text)

    def _think(self, event: events.ThinkingDelta) -> bytes:
        if not event.text:
            return b""
        reasoning, opening = self._reasoning()
        return opening + reasoning.think(event.text)

    def _sign_thinking(self, event: events.ThinkingSigned) -> bytes:
        reasoning, opening = self._reasoning()
        reasoning.encrypted = sealed(Thinking("", event.signature))
        return opening + self._end_current()

    def _redact(self, event: events.RedactedThinking) -> bytes:
        closing = self._end_current()
        reasoning, opening = self._reasoning()
        reasoning.encrypted = sealed(Redacted(event.data))
        return closing + opening + self._end_current()

    def _call(self, event: events.CallStarted) -> bytes:
        closing = self._end_current() + self._end_call()
        call = Call(self._writer, self._answer, len(self._items), event.id, event.name)
        self._items.append(call)
        self._calls[event.call] = self._latest = call
        return closing + call.begin()

    def _argue(self, event: events.ArgumentsDelta) -> bytes:
        call = self._calls.get(event.call)
        if call is None:
            return self._fail(BrokenAnswer("The provider gave arguments of a call that it had not begun."))
        if call.told is None:
            return call.argue(event.json)
        if event.json.strip():
            return self._fail(BrokenAnswer("The provider gave more arguments of a call than one JSON object."))
        return b""

    def _cite(self, event: events.Cited) -> bytes:
        text = self._current.text if isinstance(self._current, Message) else None
        return b"" if text is None else text.cite(event.citation)

    def _weigh(self, event: events.LogprobsDelta) -> bytes:
        self._pending.extend(event.content)
        return self._weigh_pending()

    def _weigh_pending(self) -> bytes:
        """What is told before any words waits for them."""
        text = self._current.text if isinstance(self._current, Message) else None
        if text is None:
            return b""
        content, self._pending = self._pending, []
        return text.weigh(content)

    def _finished(self, event: events.Finished) -> bytes:
        self._finish = event.finish
        return self._end_all(complete=output.reason(event.finish, refused=self._refused) is None)

    def _count(self, event: events.UsageTold) -> bytes:
        self._usage = event.usage
        return b""

    def _unspoken(self, event: events.TextSigned) -> bytes:
        """A text has no place for a signature."""
        return b""

    def _failed(self, event: events.Failed) -> bytes:
        return self._fail(event.error)

    def _fail(self, error: GatewayError) -> bytes:
        """Twice: `response.failed` is what agents look for, and `error` what the official clients raise on.

        Items that were not complete are not in the response: nobody shall act on half a call.
        """
        self._over = True
        told = self._frame.told("failed", self._output(), usage=self._usage, error=failing.failure(error))
        failed = self._writer.event("response.failed", response=told)
        return failed + self._writer.event("error", **failing.told(error))


_WRITERS: Mapping[type, Callable[[Encoder, Any], bytes]] = {
    events.Started: Encoder._started,
    events.TextDelta: Encoder._say,
    events.TextSigned: Encoder._unspoken,
    events.Cited: Encoder._cite,
    events.RefusalDelta: Encoder._refuse,
    events.ThinkingDelta: Encoder._think,
    events.ThinkingSigned: Encoder._sign_thinking,
    events.RedactedThinking: Encoder._redact,
    events.CallStarted: Encoder._call,
    events.ArgumentsDelta: Encoder._argue,
    events.LogprobsDelta: Encoder._weigh,
    events.Finished: Encoder._finished,
    events.UsageTold: Encoder._count,
    events.Failed: Encoder._failed,
}


def _complete(arguments: str) -> bool:
    """Whether nothing can be added to these arguments: they are one whole JSON object."""
    if not arguments.rstrip().endswith("}"):
        return False
    try:
        return isinstance(json.loads(arguments), dict)
    except (ValueError, RecursionError):
        return False
