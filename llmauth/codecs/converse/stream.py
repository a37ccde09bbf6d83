"""A stream of Converse as neutral events: AWS's frames, each with one event in JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llmauth.chat.events import (
    ArgumentsDelta,
    CallStarted,
    Cited,
    Event,
    Failed,
    Finished,
    RedactedThinking,
    Started,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    UsageTold,
)
from llmauth.chat.messages import Finish
from llmauth.codecs.aws_exceptions import of_stream
from llmauth.codecs.converse.names import ANSWER
from llmauth.codecs.converse.response import (
    Reader,
    broken,
    citations,
    finish_of,
    read_usage,
    stop_sequence,
    thinking_tokens,
)
from llmauth.codecs.reading import Malformed, Node, parse_fast
from llmauth.errors import BrokenAnswer, GatewayError
from llmauth.framing.eventstream import Decoder, Message

# A block that is no part of the answer: a tool that Bedrock runs itself, or what came of it.
_SKIPPED = -1
# A call whose input is the answer.
_ANSWER = -2


class ConverseStream:
    """Decodes one stream: `messageStart`, blocks, `messageStop`, and the usage in `metadata` after it."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._frames = Decoder()
        self._events: list[Event] = []
        self._over = False  # deaf: it failed or was closed
        self._started = self._stopped = self._said = False
        self._calls: dict[int, int] = {}  # block to number of the call
        self._begun = 0
        self._reasoning_tokens = 0
        self._handlers: dict[str, Callable[[dict[str, Any]], None]] = {
            "messageStart": self._start,
            "contentBlockStart": self._block,
            "contentBlockDelta": self._delta,
            "messageStop": self._stop,
            "metadata": self._usage,
        }

    def feed(self, data: bytes) -> list[Event]:
        """The events that are complete with these bytes."""
        if self._over:
            return []
        for message in self._frames.feed(data):
            self._take(message)
            if self._over:
                break
        if self._frames.fault:
            self._fail(BrokenAnswer(f"Bedrock's stream is broken: {self._frames.fault}."))
        return self._taken()

    def close(self) -> list[Event]:
        """Bedrock ends a stream with `messageStop`; the usage after it may be missing, a part of a frame may not."""
        if not self._stopped or self._frames.pending:
            self._fail(BrokenAnswer("Bedrock's stream ended before its end."))
        self._over = True
        return self._taken()

    def _taken(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def _fail(self, error: GatewayError) -> None:
        if not self._over:
            self._over = True
            self._events.append(Failed(error))

    def _take(self, message: Message) -> None:
        headers = message.headers
        kind = headers.get(":message-type")
        if kind == "event":
            handler = self._handlers.get(headers.get(":event-type", ""))
            if handler is not None:
                self._handle(handler, message.payload)
        elif kind in ("exception", "error"):
            self._fail(of_stream(message))

    def _handle(self, handler: Callable[[dict[str, Any]], None], payload: bytes) -> None:
        try:
            handler(parse_fast(payload))
        except Malformed as malformed:
            self._fail(broken(malformed))
        except (LookupError, TypeError, AttributeError, ValueError, RecursionError):
            self._fail(BrokenAnswer("Bedrock's stream holds an event that cannot be read."))

    def _begin(self) -> None:
        if not self._started:
            self._started = True
            self._events.append(Started())

    def _start(self, told: dict[str, Any]) -> None:
        self._begin()

    def _block(self, told: dict[str, Any]) -> None:
        """Texts have no start: a block that is not begun here is one of words."""
        node = Node(told)
        index, start = node.need("contentBlockIndex").integer(0), node.need("start")
        call = start.get("toolUse")
        if self._stopped or index in self._calls:
            return
        if call is None or call.text_of("type") == "server_tool_use":
            self._calls[index] = _SKIPPED
            return
        self._begin()
        self._said = True
        name = call.need("name").text()
        if name == ANSWER:
            self._calls[index] = _ANSWER
            return
        self._calls[index] = number = self._begun
        self._begun += 1
        self._events.append(CallStarted(number, call.need("toolUseId").text(), self._reader.names.told(name)))

    def _delta(self, told: dict[str, Any]) -> None:
        """Hundreds of these come in one answer, so words take the short way."""
        delta = told["delta"]
        if self._stopped:
            return
        text = delta.get("text")
        if text is None:
            self._other_delta(Node(told))
        elif isinstance(text, str):
            if text:
                self._begin()
                self._said = True
                self._events.append(TextDelta(text))
        else:
            Node(text, "delta.text").text()

    def _other_delta(self, told: Node) -> None:
        delta = told.need("delta")
        if (call := delta.get("toolUse")) is not None:
            self._arguments(told.need("contentBlockIndex").integer(0), call.text_of("input"))
        elif (reasoning := delta.get("reasoningContent")) is not None:
            self._reasoning(reasoning)
        elif (citation := delta.get("citation")) is not None:
            self._events.extend(Cited(found) for found in citations([citation]))

    def _arguments(self, index: int, text: str) -> None:
        number = self._calls.get(index)
        if number is None:
            raise Malformed("contentBlockIndex", "names a tool call that was not begun")
        if text and number == _ANSWER:
            self._events.append(TextDelta(text))
        elif text and number != _SKIPPED:
            self._events.append(ArgumentsDelta(number, text))

    def _reasoning(self, told: Node) -> None:
        self._begin()
        self._said = True
        if text := told.text_of("text"):
            self._events.append(ThinkingDelta(text))
        if signed := told.text_of("signature"):
            self._events.append(ThinkingSigned(self._reader.signature(signed)))
        if redacted := told.text_of("redactedContent"):
            self._events.append(RedactedThinking(self._reader.signature(redacted)))

    def _stop(self, told: dict[str, Any]) -> None:
        node = Node(told)
        finish = finish_of(node.text_of("stopReason"), called=self._begun > 0)
        if self._stopped:
            return
        self._begin()
        if finish is Finish.MALFORMED and not self._said:
            self._fail(BrokenAnswer("Bedrock says that the output of the model is malformed, and gives none of it."))
            return
        self._stopped = True
        extra = node.get("additionalModelResponseFields")
        self._reasoning_tokens = thinking_tokens(extra)
        self._events.append(Finished(finish, stop_sequence(extra)))

    def _usage(self, told: dict[str, Any]) -> None:
        usage = Node(told).get("usage")
        if usage is not None:
            self._begin()
            self._events.append(UsageTold(read_usage(usage, self._reasoning_tokens)))
