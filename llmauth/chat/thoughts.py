"""Keeps what a model thought before it called a tool, for clients whose protocol has no place to give it back.

Claude and Gemini want their signed thinking back with the result of the tool: "you must pass the complete, unmodified
block back", and Gemini refuses a call that lost its signature. OpenAI's protocols carry neither, so it is remembered
here by the id of the call, for a while.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from llmauth.chat.messages import ChatRequest, Message, Part, Redacted, Signature, Thinking, ToolCall
from llmauth.clock import Clock

# A tool that takes longer, or a user who comes back later, goes on without the thinking.
KEPT_FOR = 3600.0
KEPT_BYTES = 64 * 1024 * 1024
_OVERHEAD = 500  # of an entry, whatever it holds


@dataclass(frozen=True, slots=True)
class _Thought:
    """What came before one call. `parts` are shared by the calls of one turn."""

    parts: tuple[Thinking | Redacted, ...]
    signature: Signature | None
    until: float  # monotonic seconds
    size: int


class Thoughts:
    """One memory for a process, whatever threads ask it. An owner (the caller's user) never meets what another's model
    thought."""

    def __init__(self, clock: Clock, *, kept_for: float = KEPT_FOR, kept_bytes: int = KEPT_BYTES) -> None:
        self._clock = clock
        self._kept_for = kept_for
        self._room = kept_bytes
        self._kept: OrderedDict[tuple[str, str], _Thought] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, owner: str, parts: Sequence[Part]) -> None:
        """Remember an answer's signed thinking, if it calls tools; `parts` in the order in which they came."""
        calls = [part for part in parts if isinstance(part, ToolCall) and part.id]
        signed = tuple(part for part in parts if isinstance(part, Thinking | Redacted) and _is_signed(part))
        if not calls or not (signed or any(call.signature for call in calls)):
            return
        until, size = self._clock.monotonic() + self._kept_for, _OVERHEAD + sum(map(_size, signed))
        for call in calls:
            self._put((owner, call.id), _Thought(signed, call.signature, until, size))
            size = _OVERHEAD  # the parts are the same objects

    def recall(self, owner: str, request: ChatRequest) -> ChatRequest:
        """The request with thinking and signatures put back where they were before the client's protocol lost them."""
        if not self._kept:
            return request
        messages = tuple(self._completed(owner, message) for message in request.messages)
        return request if messages == request.messages else replace(request, messages=messages)

    def _completed(self, owner: str, message: Message) -> Message:
        calls = [part for part in message.parts if isinstance(part, ToolCall)]
        if message.role != "assistant" or not calls:
            return message
        known = [thought for call in calls if (thought := self._get((owner, call.id))) is not None]
        if not known:
            return message
        parts = tuple(self._signed(owner, part) for part in message.parts)
        if any(_is_signed(part) for part in parts):
            return replace(message, parts=parts)
        # What it thought goes before what it said; unsigned words that stand for it there are the same words.
        rest = (part for part in parts if not isinstance(part, Thinking))
        return replace(message, parts=(*known[0].parts, *rest) if known[0].parts else parts)

    def _signed(self, owner: str, part: Part) -> Part:
        if not isinstance(part, ToolCall) or part.signature is not None:
            return part
        thought = self._get((owner, part.id))
        return part if thought is None or thought.signature is None else replace(part, signature=thought.signature)

    def _get(self, key: tuple[str, str]) -> _Thought | None:
        with self._lock:
            thought = self._kept.get(key)
            if thought is None:
                return None
            if thought.until < self._clock.monotonic():
                self._drop(key)
                return None
            self._kept.move_to_end(key)
            return thought

    def _put(self, key: tuple[str, str], thought: _Thought) -> None:
        with self._lock:
            if key in self._kept:
                self._drop(key)
            self._kept[key] = thought
            self._room -= thought.size
            while self._room < 0 and self._kept:
                self._drop(next(iter(self._kept)))

    def _drop(self, key: tuple[str, str]) -> None:
        self._room += self._kept.pop(key).size


def _is_signed(part: Part) -> bool:
    return isinstance(part, Redacted) or (isinstance(part, Thinking) and part.signature is not None)


def _size(part: Thinking | Redacted) -> int:
    if isinstance(part, Redacted):
        return len(part.data.value)
    return len(part.text) + (len(part.signature.value) if part.signature is not None else 0)
