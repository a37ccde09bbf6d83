"""Streams of those who speak OpenAI's chat, decoded into events: chunks in server-sent events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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
from llmauth.chat.messages import Finish, Origin, Signature
from llmauth.codecs.openai.answers import (
    FINISHES,
    call_signature,
    citation_of,
    decode,
    finish_of,
    parse_usage,
    synthetic_id,
    texts_of,
    token_logprobs,
)
from llmauth.codecs.openai.failures import told_failure
from llmauth.codecs.reading import Malformed, Node
from llmauth.errors import BrokenAnswer, UpstreamError
from llmauth.framing import sse

_MOST = 128  # of choices and calls of one answer; OpenAI allows 128 of either


@dataclass(slots=True)
class _Answer:
    """One choice so far: `calls` are the provider's indexes to our numbers, `ids` the id of each call."""

    calls: dict[int, int] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)
    open: int | None = None  # the call whose arguments may follow
    thought: list[str] = field(default_factory=list)  # what was told of the thought that is not yet signed
    thought_size: int = 0
    refused: bool = False
    finished: bool = False

    def forget(self) -> None:
        """The thought is over."""
        self.thought.clear()
        self.thought_size = 0

    def told(self, thought: str) -> bool:
        """Whether this is the thought that was told, whole: joined only where it may be."""
        return len(thought) == self.thought_size and thought == "".join(self.thought)


class ChatStreamDecoder:
    """The stream of one answer.

    `done_required` says that it ends with `[DONE]`, without which it was cut; where it is False, each choice's
    `finish_reason` is end enough. `model` is the member that names the model. `failure` reads what a provider says
    of a failure in its stream: the object of an event that is called `error` or has a member `error` or `errors`.
    """

    def __init__(
        self,
        done_required: bool = True,
        *,
        model: str = "model",
        finishes: Mapping[str, Finish] = FINISHES,
        family: Origin = "openai",
        failure: Callable[[dict[str, Any]], UpstreamError] = told_failure,
    ) -> None:
        self._frames = sse.Decoder()
        self._done_required = done_required
        self._model = model
        self._finishes = finishes
        self._family: Origin = family
        self._failure = failure
        self._answers: dict[int, _Answer] = {}
        self._started: Started | None = None
        self._done = False  # after its end or a failure: deaf

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete."""
        events: list[Event] = []
        if not self._done:
            self._take_all(self._frames.feed(data), events)
            if self._frames.fault and not self._done:
                self._fail(BrokenAnswer(f"The provider's stream is broken: {self._frames.fault}."), events)
        return events

    def close(self) -> list[Event]:
        """The body is over."""
        events: list[Event] = []
        if self._done:
            return events
        self._take_all(self._frames.close(), events)
        if not self._done:
            self._end(events, said=not self._done_required)
        return events

    def _take_all(self, frames: list[sse.ServerEvent], events: list[Event]) -> None:
        for frame in frames:
            if self._done:
                return
            try:
                self._take(frame, events)
            except (LookupError, TypeError, AttributeError, ValueError, RecursionError, Malformed) as problem:
                fault = str(problem)[:80] if isinstance(problem, Malformed) else type(problem).__name__
                self._fail(BrokenAnswer(f"The provider's stream holds a chunk that cannot be read ({fault})."), events)

    def _take(self, frame: sse.ServerEvent, events: list[Event]) -> None:
        if frame.data == "[DONE]":
            return self._end(events, said=True)
        chunk = decode(frame.data)
        if frame.name == "error" or chunk.get("error") or chunk.get("errors"):
            return self._fail(self._failure(chunk), events)
        choices = chunk.get("choices") or ()
        if self._started is None and (choices or chunk.get("id")):  # Azure's first chunk may hold neither
            self._start(chunk, events)
        for choice in choices:
            self._take_choice(choice, events)
        usage = chunk.get("usage")
        if usage is not None:
            events.append(UsageTold(parse_usage(Node(usage, "usage"))))

    def _start(self, chunk: dict[str, Any], events: list[Event]) -> None:
        node = Node(chunk)
        self._started = Started(node.text_of("id"), node.text_of(self._model))
        events.append(self._started)

    def _take_choice(self, choice: dict[str, Any], events: list[Event]) -> None:
        index = choice.get("index") or 0
        answer = self._answers.get(index)
        if answer is None:
            answer = self._new_answer(index)
        if answer.finished:
            return
        delta = choice.get("delta") or {}
        content = delta.get("content")
        if content and len(delta) == 1 and isinstance(content, str):  # nearly all of them
            answer.open = None
            events.append(TextDelta(content, index))
        elif delta:
            self._take_delta(delta, answer, index, events)
        if choice.get("logprobs"):
            self._take_logprobs(choice["logprobs"], index, events)
        reason = choice.get("finish_reason")
        if reason is not None:
            self._finish(reason, answer, index, events)

    def _new_answer(self, index: int) -> _Answer:
        if type(index) is not int or not 0 <= index < _MOST:
            raise Malformed("choices.index", "expected a small number")
        return self._answers.setdefault(index, _Answer())

    def _finish(self, reason: str, answer: _Answer, index: int, events: list[Event]) -> None:
        finish = finish_of(reason, self._finishes, refused=answer.refused, called=bool(answer.ids))
        answer.finished = True
        events.append(Finished(finish, choice=index))

    def _take_logprobs(self, logprobs: object, index: int, events: list[Event]) -> None:
        tokens = token_logprobs(logprobs)
        if tokens:
            events.append(LogprobsDelta(tokens, index))

    def _take_delta(self, delta: dict[str, Any], answer: _Answer, index: int, events: list[Event]) -> None:
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if thought:
            self._take_thought(Node(thought, "reasoning_content").text(), answer, index, events)
        for block in delta.get("thinking_blocks") or ():
            self._take_block(block, answer, index, events, told=bool(thought))
        if (content := delta.get("content")) and (text := texts_of(content)):
            answer.open = None
            answer.forget()
            events.append(TextDelta(text, index))
        if refusal := delta.get("refusal"):
            answer.open, answer.refused = None, True
            answer.forget()
            events.append(RefusalDelta(Node(refusal, "refusal").text(), index))
        for annotation in delta.get("annotations") or ():
            if (citation := citation_of(annotation)) is not None:
                events.append(Cited(citation, index))
        for call in delta.get("tool_calls") or _old_call(delta):
            self._take_call(call, answer, index, events)

    def _take_thought(self, text: str, answer: _Answer, index: int, events: list[Event]) -> None:
        answer.open = None
        answer.thought.append(text)
        answer.thought_size += len(text)
        events.append(ThinkingDelta(text, index))

    def _take_block(
        self, block: dict[str, Any], answer: _Answer, index: int, events: list[Event], *, told: bool
    ) -> None:
        """A block repeats what was told as `reasoning_content`, whole or (`told`) in this delta, and may sign it."""
        node = Node(block, "thinking_blocks")
        if node.text_of("type") == "redacted_thinking":
            answer.open = None
            answer.forget()
            events.append(RedactedThinking(Signature(self._family, node.need("data").text()), index))
            return
        text, signature = node.text_of("thinking"), node.text_of("signature")
        if text and not told and not answer.told(text):
            self._take_thought(text, answer, index, events)
        if signature:
            answer.open = None
            answer.forget()
            events.append(ThinkingSigned(Signature(self._family, signature), index))

    def _take_call(self, piece: dict[str, Any], answer: _Answer, index: int, events: list[Event]) -> None:
        function = piece.get("function") or {}
        arguments = Node(function.get("arguments") or "", "tool_calls.function.arguments").text()
        number = self._number(piece, answer)
        if number is None:
            number = self._begin_call(piece, answer, index, events)
        if not arguments:
            return
        if number != answer.open:
            raise Malformed("tool_calls", "arguments of a call that another has followed")
        events.append(ArgumentsDelta(number, arguments, index))

    def _number(self, piece: dict[str, Any], answer: _Answer) -> int | None:
        """Which call a piece continues, None where it begins one: some give every call the same index, or none."""
        identity = piece.get("id")
        place = piece.get("index")
        number = answer.calls.get(place) if isinstance(place, int) else len(answer.ids) - 1 if answer.ids else None
        if number is None or (
            identity and (piece.get("function") or {}).get("name") and identity != answer.ids[number]
        ):
            return None
        return number

    def _begin_call(self, piece: dict[str, Any], answer: _Answer, index: int, events: list[Event]) -> int:
        number = len(answer.ids)
        if number >= _MOST:
            raise Malformed("tool_calls", f"more than {_MOST} calls")
        node = Node(piece, "tool_calls")
        name = node.need("function").need("name").text()
        seed = self._started.id if self._started is not None else ""
        identity = node.text_of("id") or synthetic_id(f"{seed}/{index}", number, name)
        place = piece.get("index")
        answer.calls[place if isinstance(place, int) else number] = number
        answer.ids.append(identity)
        answer.open = number
        answer.forget()
        events.append(CallStarted(number, identity, name, call_signature(piece, self._family), index))
        return number

    def _end(self, events: list[Event], *, said: bool) -> None:
        """`said`: the provider told that this is the end, as far as it does."""
        if said and self._answers and all(answer.finished for answer in self._answers.values()):
            self._done = True
        else:
            self._fail(BrokenAnswer("The provider's stream ended before its end was told."), events)

    def _fail(self, error: BrokenAnswer | UpstreamError, events: list[Event]) -> None:
        self._done = True
        events.append(Failed(error))


def _old_call(delta: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """A call in the words of 2023, which servers of that age still use."""
    old = delta.get("function_call")
    return ({"index": 0, "function": old},) if isinstance(old, dict) else ()
