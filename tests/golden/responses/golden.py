"""Golden files of the Responses API, and the neutral values that they stand for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from llmauth.chat import events
from llmauth.chat.messages import (
    ChatRequest,
    ChatResponse,
    Citation,
    Finish,
    Message,
    Part,
    Redacted,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Usage,
)
from llmauth.chat.words import Word
from llmauth.codecs.base import Answering
from llmauth.codecs.responses.sealing import unsealed
from llmauth.framing import sse
from tests.golden.cases import Case, cases

FOLDER = Path(__file__).parent
CASES = cases()
ANSWERS: dict[str, Any] = json.loads((FOLDER / "answers.json").read_text())


def asked(name: str) -> bytes:
    """The request of a case, as a client of this API writes it."""
    return (FOLDER / f"{name.replace(' ', '_')}.request.json").read_bytes()


def expressed(name: str, case: Case) -> ChatRequest:
    """The request of a case without what this API cannot say: stop, errors of tools, marks on tools, other times."""
    request = case.request
    if name == "parameters":
        left: dict[Word, Any] = dict(request.parameters)
        del left[Word.STOP]
        return replace(request, parameters=left)
    if name == "tool results":
        return replace(request, messages=tuple(_without_errors(message) for message in request.messages))
    if name == "cache":
        return replace(request, tools=tuple(replace(tool, cache=None) for tool in request.tools))
    return request


def _without_errors(message: Message) -> Message:
    parts = (replace(part, error=False) if isinstance(part, ToolResult) else part for part in message.parts)
    return replace(message, parts=tuple(parts))


def answering(request: ChatRequest) -> Answering:
    """The answer's surroundings, as in the golden files."""
    return Answering(id="golden", created=1_700_000_000, model=request.model, request=request)


def streamed(response: ChatResponse) -> Iterator[events.Event]:
    """The events that tell a whole answer, each text in two pieces."""
    choice = response.choices[0]
    yield events.Started(response.id, response.model)
    calls = 0
    for part in choice.parts:
        if isinstance(part, ToolCall):
            yield events.CallStarted(calls, part.id, part.name, part.signature)
            yield from (events.ArgumentsDelta(calls, piece) for piece in _pieces(part.arguments))
            calls += 1
        else:
            yield from _told(part)
    yield events.Finished(choice.finish)
    if response.usage is not None:
        yield events.UsageTold(response.usage)


def _told(part: Part) -> Iterator[events.Event]:
    if isinstance(part, Text):
        yield from (events.TextDelta(piece) for piece in _pieces(part.text))
        yield from (events.Cited(citation) for citation in part.citations)
    elif isinstance(part, Refusal):
        yield from (events.RefusalDelta(piece) for piece in _pieces(part.text))
    elif isinstance(part, Redacted):
        yield events.RedactedThinking(part.data)
    elif isinstance(part, Thinking):
        yield from (events.ThinkingDelta(piece) for piece in _pieces(part.text))
        if part.signature is not None:
            yield events.ThinkingSigned(part.signature)


def _pieces(text: str) -> tuple[str, str]:
    middle = len(text) // 2
    return text[:middle], text[middle:]


def parsed(stream: bytes) -> list[dict[str, Any]]:
    """The events of a stream; each is named as its type."""
    decoder = sse.Decoder()
    found = [*decoder.feed(stream), *decoder.close()]
    told = [json.loads(event.data) for event in found]
    assert [event.name for event in found] == [event["type"] for event in told]
    return told


def content(response: dict[str, Any]) -> tuple[tuple[Part, ...], Finish]:
    """What a response object says: parts, and why it ended. Only `encrypted_content` is read by the code under test."""
    parts = tuple(part for item in response["output"] for part in _parts(item))
    return parts, _finish(response, parts)


def usage(response: dict[str, Any]) -> Usage:
    """The tokens of a response object, none counted twice."""
    told = response["usage"]
    cached, written = (told["input_tokens_details"][name] for name in ("cached_tokens", "cache_write_tokens"))
    assert told["total_tokens"] == told["input_tokens"] + told["output_tokens"]
    return Usage(
        input=told["input_tokens"] - cached - written,
        cache_read=cached,
        cache_write=written,
        output=told["output_tokens"],
        reasoning=told["output_tokens_details"]["reasoning_tokens"],
    )


def _parts(item: dict[str, Any]) -> Iterator[Part]:
    if item["type"] == "function_call":
        yield ToolCall(item["call_id"], item["name"], item["arguments"])
    elif item["type"] == "reasoning":
        part = unsealed("".join(part["text"] for part in item["summary"]), item["encrypted_content"])
        assert part is not None
        yield part
    else:
        assert item["type"] == "message"
        yield from (_said(part) for part in item["content"])


def _said(part: dict[str, Any]) -> Part:
    if part["type"] == "refusal":
        return Refusal(part["refusal"])
    return Text(part["text"], citations=tuple(_source(source) for source in part["annotations"]))


def _source(source: dict[str, Any]) -> Citation:
    return Citation(source["url"], source["title"], source["start_index"], source["end_index"])


def _finish(response: dict[str, Any], parts: tuple[Part, ...]) -> Finish:
    if response["status"] == "incomplete":
        reasons = {"max_output_tokens": Finish.LENGTH, "content_filter": Finish.CONTENT_FILTER}
        return reasons[response["incomplete_details"]["reason"]]
    assert response["status"] == "completed"
    if any(isinstance(part, Refusal) for part in parts):
        return Finish.REFUSAL
    return Finish.TOOL_CALLS if any(isinstance(part, ToolCall) for part in parts) else Finish.STOP
