"""OpenAI's Responses as they are answered: whole, and as the documented series of events."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

from llmauth.demo import sse, words
from llmauth.demo.emulator import PAUSE, Call

_SPEAKER = "OpenAI"


class Reply:
    """One response while it comes into being."""

    def __init__(self, call: Call, body: dict[str, Any], created: int) -> None:
        self._call = call
        self._body = body
        self._created = created
        self._id = f"resp_{secrets.token_hex(24)}"
        self._item_id = f"{'fc' if self._tool else 'msg'}_{secrets.token_hex(24)}"
        self._call_id = f"call_{secrets.token_hex(12)}"
        self._serial = 0
        limit = body.get("max_output_tokens")
        self._count = call.tokens(limit)
        self._cut = limit is not None and self._count >= limit

    @property
    def _tool(self) -> dict[str, Any] | None:
        tools: list[dict[str, Any]] = self._body.get("tools") or []
        choice = self._body.get("tool_choice")
        if isinstance(choice, dict):
            return next((tool for tool in tools if tool["name"] == choice.get("name")), None)
        return tools[0] if tools and (choice == "required" or self._call.behaviour.call_tool) else None

    def whole(self) -> dict[str, Any]:
        """The response as one object."""
        return self._response(self._status, [self._item(self._status)])

    @property
    def _status(self) -> str:
        return "incomplete" if self._cut and not self._tool else "completed"

    def _response(self, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
        finished = status != "in_progress"
        body = self._body
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "background": False,
            "completed_at": self._created if status == "completed" else None,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
            "instructions": body.get("instructions"),
            "max_output_tokens": body.get("max_output_tokens"),
            "max_tool_calls": body.get("max_tool_calls"),
            "model": body["model"],
            "output": output,
            "parallel_tool_calls": True,
            "previous_response_id": body.get("previous_response_id"),
            "reasoning": {"effort": None, "summary": None},
            "service_tier": "default",
            "temperature": 1.0 if body.get("temperature") is None else body["temperature"],
            "text": {"format": {"type": "text"}},
            "tool_choice": body.get("tool_choice", "auto"),
            "tools": [{"parameters": None, "strict": True, **tool} for tool in body.get("tools") or ()],
            "top_p": 1.0 if body.get("top_p") is None else body["top_p"],
            "truncation": "disabled",
            "usage": self._usage() if finished else None,
            "user": body.get("user"),
            "metadata": body.get("metadata") or {},
        }

    def _usage(self) -> dict[str, Any]:
        prompt = words.estimate(self._call.request.body)
        return {
            "input_tokens": prompt,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": self._count,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": prompt + self._count,
        }

    def _item(self, status: str) -> dict[str, Any]:
        tool = self._tool
        if tool is None:
            content = [] if status == "in_progress" else [_part(words.text(_SPEAKER, self._count))]
            return {"id": self._item_id, "type": "message", "status": status, "content": content, "role": "assistant"}
        return {
            "id": self._item_id,
            "type": "function_call",
            "status": status,
            "arguments": "" if status == "in_progress" else self._arguments(tool),
            "call_id": self._call_id,
            "name": tool["name"],
        }

    @staticmethod
    def _arguments(tool: dict[str, Any]) -> str:
        return words.dumps(words.example(tool.get("parameters"))).decode()

    def events(self, error: dict[str, Any]) -> Iterator[bytes]:
        """The response as server-sent events; `error` is what a stream that fails says instead of going on."""
        started = self._response("in_progress", [])
        yield self._event("response.created", response=started) + self._event("response.in_progress", response=started)
        yield self._event("response.output_item.added", output_index=0, item=self._item("in_progress"))
        tool = self._tool
        deltas = self._say() if tool is None else self._argue(self._arguments(tool))
        for position, event in enumerate(deltas):
            if self._call.fails_at(position):
                yield self._event("error", **error)
                return
            yield event
            yield PAUSE
        yield from self._close(tool)

    def _say(self) -> Iterator[bytes]:
        where = {"item_id": self._item_id, "output_index": 0, "content_index": 0}
        opening = self._event("response.content_part.added", **where, part=_part(""))
        for token in words.tokens(_SPEAKER, self._count):
            yield opening + self._event("response.output_text.delta", **where, delta=token, logprobs=[])
            opening = b""
        if opening:
            yield opening

    def _argue(self, arguments: str) -> Iterator[bytes]:
        where = {"item_id": self._item_id, "output_index": 0}
        for piece in words.pieces(arguments):
            yield self._event("response.function_call_arguments.delta", **where, delta=piece)

    def _close(self, tool: dict[str, Any] | None) -> Iterator[bytes]:
        where: dict[str, Any] = {"item_id": self._item_id, "output_index": 0}
        if tool is None:
            where["content_index"] = 0
            said = words.text(_SPEAKER, self._count)
            yield self._event("response.output_text.done", **where, text=said, logprobs=[])
            yield self._event("response.content_part.done", **where, part=_part(said))
        else:
            arguments = self._arguments(tool)
            yield self._event("response.function_call_arguments.done", **where, name=tool["name"], arguments=arguments)
        yield self._event("response.output_item.done", output_index=0, item=self._item(self._status))
        yield self._event(f"response.{self._status}", response=self.whole())

    def _event(self, kind: str, **members: Any) -> bytes:
        event = {"type": kind, "sequence_number": self._serial, **members}
        self._serial += 1
        return sse.named(kind, words.dumps(event))


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}
