"""Which features a chat request uses, told by its shape."""

from __future__ import annotations

from collections.abc import Iterator

from llmauth.chat.messages import (
    Audio,
    ChatRequest,
    Choose,
    Data,
    Document,
    Image,
    JsonObject,
    JsonSchema,
    Named,
    Part,
    Redacted,
    Thinking,
    ToolResult,
)
from llmauth.chat.words import Word

_CHOICES = {Choose.NONE: Word.TOOL_CHOICE_NONE, Choose.REQUIRED: Word.TOOL_CHOICE_REQUIRED}


def features(request: ChatRequest) -> tuple[Word, ...]:
    """Each feature once, in the order in which it is met."""
    return tuple(dict.fromkeys((*_of_messages(request), *_of_options(request))))


def _of_messages(request: ChatRequest) -> Iterator[Word]:
    begun = False
    for message in request.messages:
        if message.role in ("system", "developer"):
            yield Word.SYSTEM_LATER if begun else Word.SYSTEM
        else:
            begun = True
        for part in message.parts:
            yield from _of_part(part)


def _of_part(part: Part) -> Iterator[Word]:
    if getattr(part, "cache", None) is not None:
        yield Word.CACHE
    if isinstance(part, Image):
        yield Word.IMAGE_DATA if isinstance(part.source, Data) else Word.IMAGE_URL
    elif isinstance(part, Document):
        yield Word.DOCUMENT_DATA if isinstance(part.source, Data) else Word.DOCUMENT_URL
    elif isinstance(part, Audio):
        yield Word.AUDIO_INPUT
    elif isinstance(part, Thinking | Redacted):
        yield Word.THINKING_BACK
    elif isinstance(part, ToolResult):
        if part.error:
            yield Word.TOOL_ERROR
        for inner in part.content:
            if isinstance(inner, Image):
                yield Word.TOOL_RESULT_IMAGE
            yield from _of_part(inner)


def _of_options(request: ChatRequest) -> Iterator[Word]:
    if request.tools:
        yield Word.TOOLS
        if any(tool.strict for tool in request.tools):
            yield Word.STRICT_TOOLS
        if any(tool.cache is not None for tool in request.tools):
            yield Word.CACHE
    if isinstance(request.tool_choice, Named):
        yield Word.TOOL_CHOICE_NAMED
    elif request.tool_choice in _CHOICES:
        yield _CHOICES[request.tool_choice]
    if isinstance(request.output, JsonObject):
        yield Word.JSON_OBJECT
    elif isinstance(request.output, JsonSchema):
        yield Word.JSON_SCHEMA
    if request.reasoning is not None:
        yield Word.REASONING
