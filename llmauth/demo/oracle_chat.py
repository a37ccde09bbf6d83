"""Oracle's chat as it is answered, whole and streamed: what its three formats share, and the format GENERIC."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Protocol

from llmauth.demo import openai_chat, sse, words
from llmauth.demo.emulator import PAUSE, Call
from llmauth.demo.oracle_cohere import Cohere, CohereV2
from llmauth.demo.oracle_usage import usage
from llmauth.demo.spoken import Use, speak

_SPEAKER = "Oracle"
_FAILURE = {"code": "InternalServerError", "message": "The stream failed."}


class Chat(Protocol):
    """One answer in one format."""

    def whole(self) -> dict[str, Any]:
        """`chatResponse`."""
        ...

    def chunks(self) -> Iterator[dict[str, Any]]:
        """The pieces of the same, which a stream pauses after."""
        ...

    def ends(self) -> Iterator[dict[str, Any]]:
        """The chunks that end the stream."""
        ...


class Reply:
    """The answer to one request, whole or as server-sent events."""

    def __init__(self, call: Call, chat: Chat) -> None:
        self._call = call
        self._chat = chat
        self.whole = chat.whole

    def events(self) -> Iterator[bytes]:
        """No [DONE] at the end; the events carry padding, so that their lengths tell nothing."""
        for position, chunk in enumerate(self._chat.chunks()):
            if self._call.fails_at(position):
                yield _data(_FAILURE)
                return
            yield _data({**chunk, "pad": "a" * (position % 7 + 1)})
            yield PAUSE
        for chunk in self._chat.ends():
            yield _data({**chunk, "pad": "aaa"})


def reply(call: Call, request: dict[str, Any], now: float) -> Reply:
    """The answer in the format that was asked for."""
    match request["apiFormat"]:
        case "COHERE":
            return Reply(call, Cohere(call, request))
        case "COHEREV2":
            return Reply(call, CohereV2(call, request))
        case _:
            return Reply(call, Generic(call, request, now))


def _data(value: object) -> bytes:
    return sse.data(words.dumps(value))


class Generic:
    """An answer in the format of all models but Cohere's."""

    def __init__(self, call: Call, request: dict[str, Any], now: float) -> None:
        self._request = request
        self._now = now
        self._spoken = speak(call, openai_chat.wish(call, _as_openai(request)), _SPEAKER)
        self._reason = openai_chat.reason(self._spoken)
        self._usage = usage(call, self._spoken)

    def whole(self) -> dict[str, Any]:
        """See Chat."""
        created = datetime.fromtimestamp(self._now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        choice = {"index": 0, "message": self._message(), "finishReason": self._reason}
        return {"apiFormat": "GENERIC", "timeCreated": created, "choices": [choice], "usage": self._usage}

    def _message(self) -> dict[str, Any]:
        spoken = self._spoken
        content = None if spoken.uses else [{"type": "TEXT", "text": spoken.text}]
        calls = [_tool_call(use, use.written) for use in spoken.uses]
        message = {"role": "ASSISTANT", "content": content, "toolCalls": calls}
        return {**message, "reasoningContent": spoken.thinking} if spoken.thought else message

    def chunks(self) -> Iterator[dict[str, Any]]:
        """See Chat."""
        for message in self._messages():
            yield {"index": 0, "message": {"role": "ASSISTANT", **message}}

    def _messages(self) -> Iterator[dict[str, Any]]:
        """The arguments of a call come in pieces, of which the first has its id and name."""
        for thought in self._spoken.thought:
            yield {"reasoningContent": thought}
        for use in self._spoken.uses:
            first, *more = use.pieces
            yield {"toolCalls": [_tool_call(use, first)]}
            for piece in more:
                yield {"toolCalls": [{"type": "FUNCTION", "arguments": piece}]}
        for token in self._spoken.tokens:
            yield {"content": [{"type": "TEXT", "text": token}]}

    def ends(self) -> Iterator[dict[str, Any]]:
        """See Chat."""
        yield {"message": {"role": "ASSISTANT"}, "finishReason": self._reason}
        if (self._request.get("streamOptions") or {}).get("isIncludeUsage"):
            yield {"usage": self._usage}


def _tool_call(use: Use, arguments: str) -> dict[str, Any]:
    return {"id": openai_chat.call_id(), "type": "FUNCTION", "name": use.name, "arguments": arguments}


def _as_openai(request: dict[str, Any]) -> dict[str, Any]:
    """The part of the request that decides what is said, in the names of OpenAI."""
    choice = request.get("toolChoice") or {}
    named = {"function": {"name": choice.get("name")}}
    output = (request.get("responseFormat") or {}).get("jsonSchema")
    effort = request.get("reasoningEffort")
    return {
        "tools": [{"type": "function", "function": tool} for tool in request.get("tools") or ()],
        "tool_choice": named if choice.get("type") == "FUNCTION" else str(choice.get("type", "auto")).lower(),
        "parallel_tool_calls": request.get("isParallelToolCalls"),
        "max_tokens": request.get("maxCompletionTokens") or request.get("maxTokens"),
        "response_format": {"json_schema": output},
        "reasoning_effort": effort and effort.lower(),
    }
