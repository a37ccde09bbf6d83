"""A provider's stream of Messages, read: server-sent events, or Bedrock's frames round the same events."""

from __future__ import annotations

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
    Started,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    UsageTold,
)
from llmauth.chat.messages import Finish, Signature
from llmauth.codecs.anthropic import answer_tool
from llmauth.codecs.anthropic.failures import told_by
from llmauth.codecs.anthropic.finishes import finish_of, usage_of
from llmauth.codecs.anthropic.response import citation_of
from llmauth.codecs.arguments import from_input
from llmauth.codecs.reading import Malformed, Node, parse_fast
from llmauth.errors import BrokenAnswer, GatewayError
from llmauth.framing import sse

_ANSWER = -1  # the block of our own answer tool, whose arguments are text


class MessagesDecoder:
    """Server-sent events, as Anthropic and Vertex write them."""

    def __init__(self) -> None:
        self._frames = sse.Decoder()
        self._answer = _Answer()

    def feed(self, data: bytes) -> list[Event]:
        """The events that are complete with these bytes."""
        events = self._take(self._frames.feed(data))
        if self._frames.fault:
            events += self._answer.fail(_broken(self._frames.fault))
        return events

    def close(self) -> list[Event]:
        """The body is over."""
        return self._take(self._frames.close()) + self._answer.close()

    def _take(self, told: list[sse.ServerEvent]) -> list[Event]:
        return [event for server_event in told for event in self._answer.take(server_event.data)]


class _Answer:
    """What was told so far. After `message_stop` and after a failure it is deaf."""

    def __init__(self) -> None:
        self._over = False
        self._started = False
        self._finished = False
        self._calls: dict[int, int] = {}  # index of a block to the number of its call
        self._bare: dict[int, str] = {}  # what the arguments of a call are, where no pieces of them come
        self._number = 0
        self._usage: dict[str, Any] = {}

    def take(self, data: str | bytes) -> list[Event]:
        """One event of Anthropic's, in JSON."""
        if self._over:
            return []
        try:
            return self._judge(parse_fast(data))
        except Malformed as fault:
            return self.fail(_broken(str(fault)[:80]))
        except (KeyError, TypeError, AttributeError):
            return self.fail(_broken("an event lacks what its type promises"))

    def fail(self, error: GatewayError) -> list[Event]:
        """The one failure of a stream."""
        if self._over:
            return []
        self._over = True
        return [Failed(error)]

    def close(self) -> list[Event]:
        """A failure where the stream had not come to its end."""
        return self.fail(_broken("it ended before its end"))

    def _judge(self, event: dict[str, Any]) -> list[Event]:
        kind = event["type"]
        if kind == "content_block_delta" and self._started:
            return self._delta(event["index"], event["delta"])
        if kind == "content_block_start" and self._started:
            return self._block(event["index"], event["content_block"])
        if kind == "content_block_stop":
            return self._stopped(event.get("index"))
        if kind == "message_start" and not self._started:
            return self._start(Node(event).need("message"))
        if kind == "message_delta" and self._started:
            return self._change(Node(event))
        if kind == "message_stop":
            return self._stop()
        return self.fail(told_by(Node(event))) if kind == "error" else []

    def _delta(self, index: int, delta: dict[str, Any]) -> list[Event]:
        kind = delta["type"]
        if kind == "text_delta":
            return [TextDelta(_text(delta["text"]))]
        if kind == "input_json_delta":
            return self._arguments(index, _text(delta["partial_json"]))
        if kind == "thinking_delta":
            return [ThinkingDelta(_text(delta["thinking"]))]
        if kind == "signature_delta":
            return [ThinkingSigned(Signature("anthropic", _text(delta["signature"])))]
        if kind == "citations_delta":
            citation = citation_of(delta["citation"])
            return [] if citation is None else [Cited(citation)]
        return []

    def _arguments(self, index: int, piece: str) -> list[Event]:
        call = self._calls.get(index)
        if call is None or not piece:  # a block that is no call of ours; or the one empty piece of a call without any
            return []
        self._bare.pop(index, None)
        return [TextDelta(piece)] if call == _ANSWER else [ArgumentsDelta(call, piece)]

    def _block(self, index: int, block: dict[str, Any]) -> list[Event]:
        kind = block["type"]
        if kind == "tool_use":
            return self._call(index, Node(block))
        if kind == "redacted_thinking":
            return [RedactedThinking(Signature("anthropic", _text(block["data"])))]
        if kind == "text":
            return [TextDelta(text)] if (text := _text(block.get("text") or "")) else []
        if kind == "thinking":
            return [ThinkingDelta(text)] if (text := _text(block.get("thinking") or "")) else []
        return []

    def _call(self, index: int, block: Node) -> list[Event]:
        name, given = block.need("name").text(), block.get("input")
        self._bare[index] = "{}" if given is None else from_input(given.object())
        if name == answer_tool.NAME:
            self._calls[index] = _ANSWER
            return []
        self._calls[index] = self._number
        self._number += 1
        return [CallStarted(self._calls[index], block.need("id").text(), name)]

    def _stopped(self, index: Any) -> list[Event]:
        """A call without pieces has the arguments that stood at its start: mostly none, which clients want as `{}`."""
        return self._arguments(index, self._bare[index]) if isinstance(index, int) and index in self._bare else []

    def _start(self, message: Node) -> list[Event]:
        self._started = True
        started = Started(message.text_of("id"), message.text_of("model"))
        return [started, *self._used(message.get("usage"))]

    def _used(self, usage: Node | None) -> list[Event]:
        """Counts are cumulative; one that a later event does not repeat still holds."""
        if usage is None:
            return []
        self._usage.update({name: value for name, value in usage.object().items() if value is not None})
        return [UsageTold(usage_of(Node(self._usage, "usage")))]

    def _change(self, event: Node) -> list[Event]:
        return [*self._finish(event.get("delta")), *self._used(event.get("usage"))]

    def _finish(self, delta: Node | None) -> list[Event]:
        reason = "" if delta is None else delta.text_of("stop_reason")
        if delta is None or not reason or self._finished:
            return []
        self._finished = True
        finish = finish_of(reason)
        if finish is Finish.TOOL_CALLS and not self._number:  # the call of our own answer tool has become the answer
            finish = Finish.STOP
        details = delta.get("stop_details")
        words = "" if details is None else details.text_of("explanation")
        refusal: list[Event] = [RefusalDelta(words)] if words else []
        return [*refusal, Finished(finish, delta.text_of("stop_sequence") or None)]

    def _stop(self) -> list[Event]:
        if not self._started:
            return self.fail(_broken("it ended before it began"))
        self._over = True
        return [] if self._finished else [Finished(Finish.STOP)]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _broken(fault: str) -> BrokenAnswer:
    return BrokenAnswer(f"The provider's stream is broken: {fault}.")
