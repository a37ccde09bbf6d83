"""An answer of Converse as a neutral one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from llmauth.chat.messages import (
    ChatResponse,
    Choice,
    Citation,
    Finish,
    Origin,
    Part,
    Redacted,
    Signature,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from llmauth.codecs.aws_exceptions import of_members
from llmauth.codecs.converse.names import ANSWER, ToolNames
from llmauth.codecs.reading import Malformed, Node, parse_fast
from llmauth.errors import BrokenAnswer

FINISHES = {
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.STOP_SEQUENCE,
    "max_tokens": Finish.LENGTH,
    "model_context_window_exceeded": Finish.CONTEXT_LENGTH,
    "tool_use": Finish.TOOL_CALLS,
    "guardrail_intervened": Finish.CONTENT_FILTER,
    "content_filtered": Finish.CONTENT_FILTER,
    "malformed_model_output": Finish.MALFORMED,
    "malformed_tool_use": Finish.MALFORMED,
    "refusal": Finish.REFUSAL,
}


class Reader:
    """Reads what a model said, in the names that the client knows."""

    def __init__(self, origin: Origin, names: ToolNames) -> None:
        self.origin = origin
        self.names = names

    def read(self, body: bytes) -> ChatResponse:
        """BrokenAnswer for what is no answer of Converse, UpstreamError for one that tells of a failure."""
        try:
            return self._response(Node(parse_fast(body)))
        except Malformed as malformed:
            raise broken(malformed) from None

    def _response(self, told: Node) -> ChatResponse:
        if failure := of_members(told.object()):
            raise failure
        message = told.need("output").need("message")
        parts = tuple(part for block in message.list_of("content") for part in self._parts(block))
        finish = finish_of(told.text_of("stopReason"), called=any(isinstance(part, ToolCall) for part in parts))
        if finish is Finish.MALFORMED and not parts:
            raise BrokenAnswer("Bedrock says that the output of the model is malformed, and gives none of it.")
        extra = told.get("additionalModelResponseFields")
        choice = Choice(parts=parts, finish=finish, stop_sequence=stop_sequence(extra))
        usage = told.get("usage")
        tier = told.get("serviceTier")
        return ChatResponse(
            id="",
            model="",
            choices=(choice,),
            usage=None if usage is None else read_usage(usage, thinking_tokens(extra)),
            service_tier=None if tier is None else tier.text_of("type") or None,
        )

    def signature(self, value: str) -> Signature:
        """A signature of this family."""
        return Signature(self.origin, value)

    def _parts(self, block: Node) -> Iterator[Part]:
        """A block is a union of one member; blocks that are no part of an answer are skipped."""
        if (text := block.get("text")) is not None:
            yield from _texts(text.text(), ())
        elif (call := block.get("toolUse")) is not None:
            yield from self._call(call)
        elif (reasoning := block.get("reasoningContent")) is not None:
            yield from self._reasoning(reasoning)
        elif (cited := block.get("citationsContent")) is not None:
            text_of_it = "".join(piece.text_of("text") for piece in cited.list_of("content"))
            yield from _texts(text_of_it, tuple(citations(cited.list_of("citations"))))

    def _call(self, call: Node) -> Iterator[Part]:
        """A tool that Bedrock ran itself is nothing that the client could answer."""
        if call.text_of("type") == "server_tool_use":
            return
        name, arguments = call.need("name").text(), _arguments(call)
        if name == ANSWER:
            yield from _texts(arguments, ())
        else:
            yield ToolCall(call.need("toolUseId").text(), self.names.told(name), arguments)

    def _reasoning(self, reasoning: Node) -> Iterator[Part]:
        redacted = reasoning.text_of("redactedContent")
        if redacted:
            yield Redacted(self.signature(redacted))
        told = reasoning.get("reasoningText")
        if told is not None:
            text, signed = told.text_of("text"), told.text_of("signature")
            if text or signed:
                yield Thinking(text, self.signature(signed) if signed else None)


def finish_of(reason: str, *, called: bool) -> Finish:
    """A reason that is not known yet is an ordinary end; a call that stood for the answer alone is one too."""
    finish = FINISHES.get(reason, Finish.STOP)
    return Finish.STOP if finish is Finish.TOOL_CALLS and not called else finish


def broken(malformed: Malformed) -> BrokenAnswer:
    """The refusal for an answer that cannot be read."""
    return BrokenAnswer(f"Bedrock's answer cannot be read: {str(malformed)[:160]}.")


def _texts(text: str, cited: tuple[Citation, ...]) -> Iterator[Text]:
    if text:
        yield Text(text, citations=cited)


def _arguments(call: Node) -> str:
    """ "input" is JSON, and a client is told it as text."""
    value = call.get("input")
    try:
        return json.dumps(
            {} if value is None else value.value, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
    except (ValueError, RecursionError):
        raise Malformed(f"{call.place}.input", "cannot be written as JSON") from None


def citations(told: list[Node]) -> Iterator[Citation]:
    """Those that lead somewhere; places in the client's own documents have no address."""
    for node in told:
        location = node.get("location")
        web = None if location is None else location.get("web")
        url = "" if web is None else web.text_of("url")
        if url:
            yield Citation(url, node.text_of("title"))


def read_usage(told: Node, reasoning: int) -> Usage:
    """ "inputTokens" does not hold what was read from or written to the cache."""
    return Usage(
        input=told.count_of("inputTokens"),
        cache_read=told.count_of("cacheReadInputTokens"),
        cache_write=told.count_of("cacheWriteInputTokens"),
        output=told.count_of("outputTokens"),
        reasoning=reasoning,
    )


def thinking_tokens(extra: Node | None) -> int:
    """Claude's own count, which Converse has no member for; 0 where it is not told."""
    details = _inside(extra.value if extra else None, "usage", "output_tokens_details")
    count = _inside(details or _inside(extra.value if extra else None, "output_tokens_details"), "thinking_tokens")
    return count if isinstance(count, int) and not isinstance(count, bool) and count > 0 else 0


def stop_sequence(extra: Node | None) -> str | None:
    """The one that was met, where Claude tells it."""
    found = _inside(extra.value if extra else None, "stop_sequence")
    return found if isinstance(found, str) and found else None


def _inside(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value
