"""An answer's events, written as the chunks of OpenAI's stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from json.encoder import encode_basestring
from typing import Any

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
    ThinkingDelta,
    ThinkingSigned,
    UsageTold,
)
from llmauth.chat.messages import Usage
from llmauth.codecs.base import Answering, to_json
from llmauth.codecs.openai.errors import error_fields
from llmauth.codecs.openai.response import (
    annotation_of,
    completion_id,
    extra_content,
    finish_reason,
    redacted_block,
    speaks_of_functions,
    thinking_block,
    usage_of,
)

_DONE = b"data: [DONE]\n\n"


@dataclass(slots=True)
class _Choice:
    """One choice so far: `head` and `tail` are the bytes around each of its deltas."""

    head: bytes
    thought: list[str] = field(default_factory=list)
    length: int = 0  # of the text, in which sources are counted
    empty_call: int | None = None  # the latest call, as long as it has no arguments


class ChatStreamEncoder:
    """Chunks of one id, time and model; with `include_usage` each says `usage: null` but the last, which has it."""

    def __init__(self, answering: Answering) -> None:
        self._frame = {
            "id": completion_id(answering),
            "object": "chat.completion.chunk",
            "created": answering.created,
            "model": answering.model,
        }
        self._counted = answering.request.include_usage
        self._old = speaks_of_functions(answering)
        self._choices: dict[int, _Choice] = {}
        self._usage: Usage | None = None
        self._failed = False
        self._finished = False
        ending = b',"usage":null}' if self._counted else b"}"
        self._tail = b',"logprobs":null,"finish_reason":null}]' + ending + b"\n\n"
        self._writers: dict[type, Callable[[Any], bytes]] = {
            Started: self._start,
            ThinkingDelta: self._think,
            ThinkingSigned: self._sign,
            RedactedThinking: self._redact,
            RefusalDelta: lambda event: self._delta(event.choice, {"refusal": event.text}),
            Cited: self._cite,
            CallStarted: self._call,
            ArgumentsDelta: self._arguments,
            LogprobsDelta: self._logprobs,
            Finished: self._finish,
            UsageTold: self._count,
            Failed: self._fail,
        }

    def encode(self, event: Event) -> bytes:
        """The chunk of an event; what OpenAI's format has no place for writes nothing."""
        if self._failed:
            return b""
        if type(event) is TextDelta:
            return self._text(event)
        writer = self._writers.get(type(event))
        return b"" if writer is None else writer(event)

    def close(self) -> bytes:
        """The usage, where the client asked for it and the provider told it, and the last line."""
        if self._failed or not self._finished:
            return b""
        if not self._counted or self._usage is None:
            return _DONE
        return b"data: " + to_json({**self._frame, "choices": [], "usage": usage_of(self._usage)}) + b"\n\n" + _DONE

    def _text(self, event: TextDelta) -> bytes:
        """Nearly all that a stream holds: written without making an object of it. A text ends what was thought."""
        index = event.choice
        choice = self._choices.get(index)
        opening = b""
        if choice is None:
            opening, choice = self._open(index)
        if choice.thought:
            choice.thought.clear()
        choice.length += len(event.text)
        return opening + choice.head + b'{"content":' + _string(event.text) + b"}" + self._tail

    def _open(self, index: int) -> tuple[bytes, _Choice]:
        """ "First delta carries role"."""
        frame = to_json({**self._frame, "choices": [{"index": index}]})
        choice = _Choice(b"data: " + frame.removesuffix(b"}]}") + b',"delta":')
        self._choices[index] = choice
        return choice.head + b'{"role":"assistant","content":""}' + self._tail, choice

    def _delta(self, index: int, delta: dict[str, Any]) -> bytes:
        choice = self._choices.get(index)
        opening = b""
        if choice is None:
            opening, choice = self._open(index)
        return opening + choice.head + to_json(delta) + self._tail

    def _last(self, index: int, logprobs: Any, reason: str | None) -> bytes:
        """A chunk that says something beside its delta."""
        opening = b"" if index in self._choices else self._open(index)[0]
        choice = {"index": index, "delta": {}, "logprobs": logprobs, "finish_reason": reason}
        chunk = {**self._frame, "choices": [choice], **({"usage": None} if self._counted else {})}
        return opening + b"data: " + to_json(chunk) + b"\n\n"

    def _start(self, event: Started) -> bytes:
        return b"" if self._choices else self._open(0)[0]

    def _think(self, event: ThinkingDelta) -> bytes:
        written = self._delta(event.choice, {"reasoning_content": event.text})
        self._choices[event.choice].thought.append(event.text)
        return written

    def _sign(self, event: ThinkingSigned) -> bytes:
        """The whole block once more: what a client has to send back as it is."""
        choice = self._choices.get(event.choice)
        text = "".join(choice.thought) if choice is not None else ""
        if choice is not None:
            choice.thought.clear()
        return self._delta(event.choice, {"thinking_blocks": [thinking_block(text, event.signature)]})

    def _redact(self, event: RedactedThinking) -> bytes:
        return self._delta(event.choice, {"thinking_blocks": [redacted_block(event.data)]})

    def _cite(self, event: Cited) -> bytes:
        choice = self._choices.get(event.choice)
        end = 0 if choice is None else choice.length
        return self._delta(event.choice, {"annotations": [annotation_of(event.citation, 0, end)]})

    def _call(self, event: CallStarted) -> bytes:
        if self._old and event.call:
            return b""
        before = self._filled(event.choice)
        function = {"name": event.name, "arguments": ""}
        call: dict[str, Any] = {"index": event.call, "id": event.id, "type": "function", "function": function}
        if event.signature is not None:
            call["extra_content"] = extra_content(event.signature)
        written = self._delta(event.choice, {"function_call": function} if self._old else {"tool_calls": [call]})
        self._choices[event.choice].empty_call = event.call
        self._choices[event.choice].thought.clear()
        return before + written

    def _filled(self, index: int) -> bytes:
        """Clients parse what they were given of a call: one without arguments has an empty object of them."""
        choice = self._choices.get(index)
        if choice is None or choice.empty_call is None:
            return b""
        return self._arguments(ArgumentsDelta(choice.empty_call, "{}", index))

    def _arguments(self, event: ArgumentsDelta) -> bytes:
        if self._old and event.call:
            return b""
        if event.choice in self._choices and event.json:
            self._choices[event.choice].empty_call = None
        function = {"arguments": event.json}
        call = {"index": event.call, "function": function}
        return self._delta(event.choice, {"function_call": function} if self._old else {"tool_calls": [call]})

    def _logprobs(self, event: LogprobsDelta) -> bytes:
        return self._last(event.choice, {"content": list(event.content), "refusal": None}, None)

    def _finish(self, event: Finished) -> bytes:
        self._finished = True
        before = self._filled(event.choice)
        return before + self._last(event.choice, None, finish_reason(event.finish, self._old))

    def _count(self, event: UsageTold) -> bytes:
        self._usage = event.usage
        return b""

    def _fail(self, event: Failed) -> bytes:
        self._failed = True
        return b"data: " + to_json({"error": error_fields(event.error)}) + b"\n\n"


def _string(text: str) -> bytes:
    """A JSON string in UTF-8; half a surrogate pair is written as its escape, since UTF-8 has no bytes for it."""
    return encode_basestring(text).encode("utf-8", "backslashreplace")
