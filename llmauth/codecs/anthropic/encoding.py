"""A stream of Messages, written to a client: one block after the other, each begun, filled and ended."""

from __future__ import annotations

import json
from collections.abc import Callable
from json.encoder import encode_basestring, encode_basestring_ascii
from typing import Any

from llmauth.chat.events import (
    ArgumentsDelta,
    CallStarted,
    Cited,
    Event,
    Failed,
    Finished,
    RedactedThinking,
    RefusalDelta,
    TextDelta,
    TextSigned,
    ThinkingDelta,
    ThinkingSigned,
    UsageTold,
)
from llmauth.chat.messages import Signature, Usage
from llmauth.chat.signatures import written
from llmauth.codecs.anthropic import marks
from llmauth.codecs.anthropic.errors import error_fields
from llmauth.codecs.anthropic.finishes import usage_body
from llmauth.codecs.anthropic.response import cited, ending, opening, shows_thinking
from llmauth.codecs.base import Answering
from llmauth.codecs.reading import Malformed, parse
from llmauth.errors import BrokenAnswer, GatewayError
from llmauth.framing.sse import encode

_TEXT = "text"
_THINKING = "thinking"
_CALL = "tool_use"
# The deltas are most of a stream: each is one form, filled with its index and its text.
_DELTA = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%%d,"delta":{"type":"%b":%%b}}\n\n'
_TEXT_DELTA = _DELTA % b'text_delta","text'
_THINKING_DELTA = _DELTA % b'thinking_delta","thinking'
_SIGNATURE_DELTA = _DELTA % b'signature_delta","signature'
_JSON_DELTA = _DELTA % b'input_json_delta","partial_json'


class MessagesEncoder:
    """One stream to one client.

    A call whose arguments are not complete when something else begins stays open, and what begins waits: a block that
    is ended cannot be filled any more. `message_delta` waits for the usage that comes after the end, or for the close.
    """

    def __init__(self, answering: Answering) -> None:
        self._answering = answering
        self._shown = shows_thinking(answering)
        self._begun = False
        self._over = False
        self._usage: Usage | None = None
        self._finished: Finished | None = None
        self._told = False  # whether `message_delta` is written
        self._refusal: list[str] = []
        self._index = -1
        self._kind = ""  # of the block that is open
        self._call = -1
        self._pieces: list[str] = []  # the arguments of the call that is open
        self._whole: bool | None = None  # whether these are complete, where that was looked at
        self._waiting: list[Event] = []

    def encode(self, event: Event) -> bytes:
        """What this event writes."""
        if self._over or getattr(event, "choice", None):
            return b""
        if isinstance(event, Failed):
            return self._fail(event.error)
        if isinstance(event, UsageTold):
            self._usage = event.usage
            return self._begin() + (self._ending() if self._finished else b"")
        take = _TAKERS.get(type(event))
        if take is None or self._finished:
            return b""
        opened = b"" if self._begun else self._begin()
        return opened + (self._wait(event) if self._must_wait(event) else take(self, event))

    def close(self) -> bytes:
        """The end, where there was one; an error where there was none."""
        if self._over:
            return b""
        if self._finished is None:
            return self._fail(BrokenAnswer("The provider's stream ended before its end."))
        self._over = True
        return (b"" if self._told else self._ending()) + _event("message_stop", {})

    def _begin(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        message = {
            **opening(self._answering),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage_body(self._usage),
        }
        return _event("message_start", {"message": message})

    def _fail(self, error: GatewayError) -> bytes:
        self._over = True
        return _event("error", {"error": error_fields(error)})

    def _ending(self) -> bytes:
        assert self._finished is not None
        self._told = True
        delta = ending(self._finished.finish, self._finished.stop_sequence, "".join(self._refusal))
        return _event("message_delta", {"delta": delta, "usage": usage_body(self._usage)})

    def _must_wait(self, event: Event) -> bool:
        """Whether this belongs behind a call that may still be filled."""
        if isinstance(event, Finished):
            return False
        if self._kind != _CALL or (isinstance(event, ArgumentsDelta) and event.call == self._call):
            return False
        if self._waiting:
            return True
        if self._whole is None:
            self._whole = _complete("".join(self._pieces))
        return not self._whole

    def _wait(self, event: Event) -> bytes:
        self._waiting.append(event)
        return b""

    def _caught_up(self) -> bytes:
        """What waited, with the pieces of each call behind its start."""
        waiting, self._waiting = _in_order(self._waiting), []
        return self._end() + b"".join([_TAKERS[type(event)](self, event) for event in waiting])

    def _open(self, kind: str, block: dict[str, Any]) -> bytes:
        ended = self._end()
        self._index += 1
        self._kind = kind
        return ended + _event("content_block_start", {"index": self._index, "content_block": block})

    def _end(self) -> bytes:
        if not self._kind:
            return b""
        self._kind, self._call, self._pieces, self._whole = "", -1, [], None
        return _event("content_block_stop", {"index": self._index})

    def _delta(self, form: bytes, text: str) -> bytes:
        return form % (self._index, _quoted(text))

    def _take_text(self, event: TextDelta) -> bytes:
        if not event.text:
            return b""
        opened = b"" if self._kind == _TEXT else self._open(_TEXT, {"type": "text", "text": ""})
        return opened + self._delta(_TEXT_DELTA, event.text)

    def _take_text_signed(self, event: TextSigned) -> bytes:
        return self._open("redacted_thinking", marks.of_text(event.signature)) + self._end()

    def _take_cited(self, event: Cited) -> bytes:
        if self._kind != _TEXT:
            return b""
        delta = {"type": "citations_delta", "citation": cited(event.citation)}
        return _event("content_block_delta", {"index": self._index, "delta": delta})

    def _take_refusal(self, event: RefusalDelta) -> bytes:
        self._refusal.append(event.text)
        return b""

    def _take_thinking(self, event: ThinkingDelta) -> bytes:
        if not event.text or not self._shown:
            return b""
        return self._thinking() + self._delta(_THINKING_DELTA, event.text)

    def _take_signed(self, event: ThinkingSigned) -> bytes:
        signature = written(event.signature, "anthropic")
        return self._thinking() + self._delta(_SIGNATURE_DELTA, signature) + self._end()

    def _thinking(self) -> bytes:
        block = {"type": "thinking", "thinking": "", "signature": ""}
        return b"" if self._kind == _THINKING else self._open(_THINKING, block)

    def _take_redacted(self, event: RedactedThinking) -> bytes:
        block = {"type": "redacted_thinking", "data": written(event.data, "anthropic")}
        return self._open("redacted_thinking", block) + self._end()

    def _take_call(self, event: CallStarted) -> bytes:
        marked = b"" if event.signature is None else self._mark(event.signature)
        opened = self._open(_CALL, {"type": "tool_use", "id": event.id, "name": event.name, "input": {}})
        self._call = event.call
        return marked + opened

    def _mark(self, signature: Signature) -> bytes:
        return self._open("redacted_thinking", marks.of_call(signature)) + self._end()

    def _take_arguments(self, event: ArgumentsDelta) -> bytes:
        if self._kind != _CALL or event.call != self._call or not event.json:
            return b""
        self._pieces.append(event.json)
        if event.json.strip(" \t\r\n"):  # space makes nothing complete, and nothing less so
            self._whole = None
        return self._delta(_JSON_DELTA, event.json)

    def _take_finished(self, event: Finished) -> bytes:
        written_last = self._caught_up() + self._end()
        self._finished = event
        return written_last


def _complete(arguments: str) -> bool:
    try:
        parse(arguments)
    except Malformed:
        return False
    return True


def _in_order(events: list[Event]) -> list[Event]:
    """The same events, with the arguments of each call right behind its start."""
    pieces: dict[int, list[Event]] = {}
    for event in events:
        if isinstance(event, ArgumentsDelta):
            pieces.setdefault(event.call, []).append(event)
    ordered: list[Event] = []
    for event in events:
        if not isinstance(event, ArgumentsDelta):
            ordered.append(event)
        if isinstance(event, CallStarted):
            ordered.extend(pieces.get(event.call, ()))
    return ordered


def _event(name: str, fields: dict[str, Any]) -> bytes:
    return encode(json.dumps({"type": name, **fields}, separators=(",", ":")).encode("ascii"), name)


def _quoted(text: str) -> bytes:
    """A JSON string in UTF-8, or in ASCII where the text has half of a surrogate pair."""
    try:
        return encode_basestring(text).encode("utf-8")
    except UnicodeEncodeError:
        return encode_basestring_ascii(text).encode("ascii")


_TAKERS: dict[type, Callable[[MessagesEncoder, Any], bytes]] = {
    TextDelta: MessagesEncoder._take_text,
    TextSigned: MessagesEncoder._take_text_signed,
    Cited: MessagesEncoder._take_cited,
    RefusalDelta: MessagesEncoder._take_refusal,
    ThinkingDelta: MessagesEncoder._take_thinking,
    ThinkingSigned: MessagesEncoder._take_signed,
    RedactedThinking: MessagesEncoder._take_redacted,
    CallStarted: MessagesEncoder._take_call,
    ArgumentsDelta: MessagesEncoder._take_arguments,
    Finished: MessagesEncoder._take_finished,
}
