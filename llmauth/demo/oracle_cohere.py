"""Oracle's chat in Cohere's two formats: COHERE, which knows no ids of calls, and COHEREV2, which is like OpenAI's."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

from llmauth.demo import openai_chat
from llmauth.demo.emulator import Call
from llmauth.demo.oracle_usage import usage
from llmauth.demo.spoken import Spoken, Tool, Use, Wish, speak

_SPEAKER = "Oracle"
# The types of parameters are those of Python.
_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "list": "array", "dict": "object"}


class Cohere:
    """An answer in the format COHERE."""

    def __init__(self, call: Call, request: dict[str, Any]) -> None:
        self._request = request
        tools = [_described(tool) for tool in request.get("tools") or ()]
        wish = Wish(
            tools=tools,
            limit=request.get("maxTokens"),
            schema=(request.get("responseFormat") or {}).get("schema"),
        )
        self._spoken = speak(call, wish, _SPEAKER)
        self._usage = usage(call, self._spoken)

    def whole(self) -> dict[str, Any]:
        """See Chat."""
        spoken = self._spoken
        said: dict[str, Any] = {"text": spoken.text}
        # No id: what names a call is its place, its name and its parameters.
        calls = {"toolCalls": [{"name": use.name, "parameters": use.arguments} for use in spoken.uses]}
        said |= calls if spoken.uses else {}
        turns = [
            *(self._request.get("chatHistory") or ()),
            *self._asked(),
            {"role": "CHATBOT", "message": said["text"], **(calls if spoken.uses else {})},
        ]
        ending = "MAX_TOKENS" if spoken.cut else "COMPLETE"
        return {"apiFormat": "COHERE", **said, "chatHistory": turns, "finishReason": ending, "usage": self._usage}

    def _asked(self) -> Iterator[dict[str, Any]]:
        if "toolResults" in self._request:
            yield {"role": "TOOL", "toolResults": self._request["toolResults"]}
        if self._request["message"]:
            yield {"role": "USER", "message": self._request["message"]}

    def chunks(self) -> Iterator[dict[str, Any]]:
        """See Chat; calls are told once, by the chunk that repeats everything."""
        for token in self._spoken.tokens:
            yield {"apiFormat": "COHERE", "text": token}

    def ends(self) -> Iterator[dict[str, Any]]:
        """See Chat; the last chunk repeats the whole text and has the calls and the bill."""
        yield self.whole()


def _described(tool: dict[str, Any]) -> Tool:
    parameters = tool.get("parameterDefinitions") or {}
    properties = {
        name: {"type": _TYPES.get(str(one.get("type", "")).lower(), "string")} for name, one in parameters.items()
    }
    return Tool(name=tool["name"], schema={"type": "object", "properties": properties})


class CohereV2:
    """An answer in the format COHEREV2."""

    def __init__(self, call: Call, request: dict[str, Any]) -> None:
        choice = request.get("toolsChoice")
        functions = [tool["function"] for tool in request.get("tools") or ()]
        thinks = (request.get("thinking") or {}).get("type") == "ENABLED"
        wish = Wish(
            tools=[Tool(name=one["name"], schema=one.get("parameters")) for one in functions],
            must_call=choice == "REQUIRED",
            may_call=choice != "NONE",
            limit=request.get("maxTokens"),
            thinks=thinks and call.behaviour.think,
            schema=(request.get("responseFormat") or {}).get("schema"),
        )
        self._spoken = speak(call, wish, _SPEAKER)
        self._calls = [_call(use) for use in self._spoken.uses]
        self._frame = {"apiFormat": "COHEREV2", "id": str(uuid.uuid4())}
        self._ending = {"finishReason": _v2_reason(self._spoken), "usage": usage(call, self._spoken)}

    def whole(self) -> dict[str, Any]:
        """See Chat."""
        return {**self._frame, "message": self._message(), **self._ending}

    def _message(self) -> dict[str, Any]:
        spoken = self._spoken
        thought = [{"type": "THINKING", "thinking": spoken.thinking}] if spoken.thought else []
        text = [] if spoken.uses else [{"type": "TEXT", "text": spoken.text}]
        calls = {"toolCalls": self._calls} if spoken.uses else {}
        return {"role": "ASSISTANT", "content": [*thought, *text], **calls}

    def chunks(self) -> Iterator[dict[str, Any]]:
        """See Chat; a call comes whole, in a chunk of its own."""
        for thought in self._spoken.thought:
            yield self._chunk({"content": [{"type": "THINKING", "thinking": thought}]})
        for token in self._spoken.tokens:
            yield self._chunk({"content": [{"type": "TEXT", "text": token}]})
        for call in self._calls:
            yield self._chunk({"toolCalls": [call]})

    def _chunk(self, message: dict[str, Any]) -> dict[str, Any]:
        return {**self._frame, "message": {"role": "ASSISTANT", **message}}

    def ends(self) -> Iterator[dict[str, Any]]:
        """See Chat; the last chunk repeats what was said, as in the older format."""
        yield self.whole()


def _v2_reason(spoken: Spoken) -> str:
    return "TOOL_CALL" if spoken.uses else "MAX_TOKENS" if spoken.cut else "COMPLETE"


def _call(use: Use) -> dict[str, Any]:
    function = {"name": use.name, "arguments": use.written}
    return {"id": openai_chat.call_id(), "type": "FUNCTION", "function": function}
