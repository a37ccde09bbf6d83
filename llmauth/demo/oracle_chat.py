"""Oracle's chat as it is answered, whole and streamed, in the formats GENERIC and COHERE."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Protocol

from llmauth.demo import openai_chat, sse, words
from llmauth.demo.emulator import PAUSE, Call
from llmauth.demo.openai_chat import Spoken

_SPEAKER = "Oracle"
_FAILURE = {"code": "InternalServerError", "message": "The stream failed."}
_COHERE_REASONS = {"stop": "COMPLETE", "length": "MAX_TOKENS", "tool_calls": "COMPLETE"}


class Reply(Protocol):
    """The answer to one request."""

    def whole(self) -> dict[str, Any]:
        """`chatResponse`."""
        ...

    def events(self) -> Iterator[bytes]:
        """The same as server-sent events."""
        ...


def reply(call: Call, request: dict[str, Any], now: float) -> Reply:
    """The answer in the format that was asked for."""
    return _Cohere(call, request) if request["apiFormat"] == "COHERE" else _Generic(call, request, now)


def _data(value: object) -> bytes:
    return sse.data(words.dumps(value))


def _usage(call: Call, spoken: Spoken) -> dict[str, Any]:
    prompt = words.estimate(call.request.body)
    return {"promptTokens": prompt, "completionTokens": spoken.count, "totalTokens": prompt + spoken.count}


class _Generic:
    def __init__(self, call: Call, request: dict[str, Any], now: float) -> None:
        self._call = call
        self._request = request
        self._now = now
        self._spoken = openai_chat.speak(call, _as_openai(request), _SPEAKER)

    def whole(self) -> dict[str, Any]:
        created = datetime.fromtimestamp(self._now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        choice = {"index": 0, "message": self._message(), "finishReason": self._spoken.reason}
        return {
            "apiFormat": "GENERIC",
            "timeCreated": created,
            "choices": [choice],
            "usage": _usage(self._call, self._spoken),
        }

    def _message(self) -> dict[str, Any]:
        if self._spoken.tool is None:
            return {"role": "ASSISTANT", "content": [{"type": "TEXT", "text": self._spoken.text}], "toolCalls": []}
        return {"role": "ASSISTANT", "content": None, "toolCalls": [self._tool_call(self._spoken.arguments)]}

    def _tool_call(self, arguments: str) -> dict[str, Any]:
        name = self._spoken.tool
        return {"id": f"call_{secrets.token_hex(12)}", "type": "FUNCTION", "name": name, "arguments": arguments}

    def events(self) -> Iterator[bytes]:
        """No [DONE] at the end; the events carry padding, so that their lengths tell nothing."""
        for position, message in enumerate(self._messages()):
            if self._call.fails_at(position):
                yield _data(_FAILURE)
                return
            yield _data({"index": 0, "message": message, "pad": "a" * (position % 7 + 1)})
            yield PAUSE
        yield _data({"message": {"role": "ASSISTANT"}, "finishReason": self._spoken.reason, "pad": "aaaa"})
        if (self._request.get("streamOptions") or {}).get("isIncludeUsage"):
            yield _data({"usage": _usage(self._call, self._spoken), "pad": "aa"})

    def _messages(self) -> Iterator[dict[str, Any]]:
        if self._spoken.tool is not None:
            yield {"role": "ASSISTANT", "toolCalls": [self._tool_call(self._spoken.arguments)]}
            return
        for token in self._spoken.tokens:
            yield {"role": "ASSISTANT", "content": [{"type": "TEXT", "text": token}]}


def _as_openai(request: dict[str, Any]) -> dict[str, Any]:
    """The part of the request that decides what is said, in the names of OpenAI."""
    choice = request.get("toolChoice") or {}
    named = {"function": {"name": choice.get("name")}}
    return {
        "tools": [{"type": "function", "function": tool} for tool in request.get("tools") or ()],
        "tool_choice": named if choice.get("type") == "FUNCTION" else str(choice.get("type", "auto")).lower(),
        "max_tokens": request.get("maxCompletionTokens") or request.get("maxTokens"),
    }


class _Cohere:
    def __init__(self, call: Call, request: dict[str, Any]) -> None:
        self._call = call
        self._request = request
        tools = [{"type": "function", "function": _described(tool)} for tool in request.get("tools") or ()]
        asked = {"tools": tools, "max_tokens": request.get("maxTokens")}
        self._spoken = openai_chat.speak(call, asked, _SPEAKER)

    def whole(self) -> dict[str, Any]:
        return {"apiFormat": "COHERE", **self._said(), "usage": _usage(self._call, self._spoken)}

    def _said(self) -> dict[str, Any]:
        spoken = self._spoken
        said: dict[str, Any] = {"text": "" if spoken.tool else spoken.text}
        if spoken.tool is not None:
            # No id: what names a call is its place, its name and its parameters.
            said["toolCalls"] = [{"name": spoken.tool, "parameters": json.loads(spoken.arguments)}]
        turns = [
            *(self._request.get("chatHistory") or ()),
            {"role": "USER", "message": self._request["message"]},
            {"role": "CHATBOT", "message": said["text"], **({"toolCalls": said["toolCalls"]} if spoken.tool else {})},
        ]
        return {**said, "chatHistory": turns, "finishReason": _COHERE_REASONS[spoken.reason]}

    def events(self) -> Iterator[bytes]:
        """The last event repeats the whole text."""
        tokens = () if self._spoken.tool else self._spoken.tokens
        for position, token in enumerate(tokens):
            if self._call.fails_at(position):
                yield _data(_FAILURE)
                return
            yield _data({"apiFormat": "COHERE", "text": token, "pad": "a" * (position % 7 + 1)})
            yield PAUSE
        yield _data({"apiFormat": "COHERE", **self._said(), "pad": "aaa"})


def _described(tool: dict[str, Any]) -> dict[str, Any]:
    """A tool as OpenAI describes one: Cohere's types are those of Python."""
    types = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "list": "array", "dict": "object"}
    parameters = tool.get("parameterDefinitions") or {}
    properties = {
        name: {"type": types.get(str(one.get("type", "")).lower(), "string")} for name, one in parameters.items()
    }
    return {"name": tool["name"], "parameters": {"type": "object", "properties": properties}}
