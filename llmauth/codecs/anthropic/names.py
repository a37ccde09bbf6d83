"""Names of tools: in a request as Anthropic takes them, in an answer as the client knows them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from hashlib import sha256

from llmauth.chat.events import CallStarted, Event
from llmauth.chat.messages import ChatRequest, ChatResponse, Choose, Message, Named, Part, ToolCall
from llmauth.codecs.base import StreamDecoder

Names = Mapping[str, str]

# "String should match pattern '^[a-zA-Z0-9_-]{1,128}$'"; others allow dots and colons.
_TAKEN = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_NOT_TAKEN = re.compile(r"[^a-zA-Z0-9_-]")


def renamed(request: ChatRequest) -> tuple[ChatRequest, Names]:
    """The request in names that Anthropic takes, and the client's own by those that were replaced."""
    told = {sent(name): name for name in _names(request) if not _TAKEN.fullmatch(name)}
    if not told:
        return request, told
    tools = tuple(replace(tool, name=sent(tool.name)) for tool in request.tools)
    messages = tuple(_renamed(message) for message in request.messages)
    return replace(request, tools=tools, messages=messages, tool_choice=_choice(request.tool_choice)), told


def sent(name: str) -> str:
    """`server.tool` as `server_tool_` and a digest, the same one every time: no two names become one."""
    if _TAKEN.fullmatch(name):
        return name
    return f"{_NOT_TAKEN.sub('_', name)[:100]}_{sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def restored(response: ChatResponse, told: Names) -> ChatResponse:
    """The answer in the client's names."""
    if not told:
        return response
    choices = tuple(
        replace(choice, parts=tuple(_told(part, told) for part in choice.parts)) for choice in response.choices
    )
    return replace(response, choices=choices)


class Restoring:
    """A stream in the client's names."""

    def __init__(self, inner: StreamDecoder, told: Names) -> None:
        self._inner = inner
        self._names = told

    def feed(self, data: bytes) -> list[Event]:
        """See StreamDecoder."""
        return [self._restored(event) for event in self._inner.feed(data)]

    def close(self) -> list[Event]:
        """See StreamDecoder."""
        return [self._restored(event) for event in self._inner.close()]

    def _restored(self, event: Event) -> Event:
        if isinstance(event, CallStarted) and event.name in self._names:
            return replace(event, name=self._names[event.name])
        return event


def _names(request: ChatRequest) -> Iterator[str]:
    yield from (tool.name for tool in request.tools)
    for message in request.messages:
        yield from (part.name for part in message.parts if isinstance(part, ToolCall))


def _renamed(message: Message) -> Message:
    parts = (replace(part, name=sent(part.name)) if isinstance(part, ToolCall) else part for part in message.parts)
    return replace(message, parts=tuple(parts))


def _choice(choice: Choose | Named | None) -> Choose | Named | None:
    return Named(sent(choice.name)) if isinstance(choice, Named) else choice


def _told(part: Part, told: Names) -> Part:
    return replace(part, name=told.get(part.name, part.name)) if isinstance(part, ToolCall) else part
