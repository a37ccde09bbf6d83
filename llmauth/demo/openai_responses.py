"""OpenAI's Responses as they are answered: whole, and as the documented series of events."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

from llmauth.demo import sse, words
from llmauth.demo.emulator import PAUSE, Call
from llmauth.demo.openai_shapes import is_reasoning
from llmauth.demo.prompt_cache import Block
from llmauth.demo.spoken import Tool, Use, Wish, speak

_SPEAKER = "OpenAI"


class Reply:
    """One response while it comes into being."""

    def __init__(self, call: Call, body: dict[str, Any], created: int) -> None:
        self._call = call
        self._body = body
        self._created = created
        self._id = f"resp_{secrets.token_hex(24)}"
        self._serial = 0
        self._spoken = speak(call, _wish(call, body), _SPEAKER)
        self._prompt = words.estimate(call.request.body)
        self._cached = min(self._prompt, _cached(call, body))
        self._items: list[_Text | _Call] = [_Call(use) for use in self._spoken.uses]
        self._items = self._items or [_Text(self._spoken.tokens)]

    def whole(self) -> dict[str, Any]:
        """The response as one object."""
        return self._response(self._status, [item.written(self._status) for item in self._items])

    @property
    def _status(self) -> str:
        return "incomplete" if self._spoken.cut else "completed"

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
            "parallel_tool_calls": body.get("parallel_tool_calls") is not False,
            "previous_response_id": body.get("previous_response_id"),
            "reasoning": {"effort": None, "summary": None},
            "service_tier": "default",
            "temperature": 1.0 if body.get("temperature") is None else body["temperature"],
            "text": {"format": (body.get("text") or {}).get("format") or {"type": "text"}},
            "tool_choice": body.get("tool_choice", "auto"),
            "tools": [{"parameters": None, "strict": True, **tool} for tool in body.get("tools") or ()],
            "top_p": 1.0 if body.get("top_p") is None else body["top_p"],
            "truncation": "disabled",
            "usage": self._usage() if finished else None,
            "user": body.get("user"),
            "metadata": body.get("metadata") or {},
        }

    def _usage(self) -> dict[str, Any]:
        return {
            "input_tokens": self._prompt,
            "input_tokens_details": {"cached_tokens": self._cached, "cache_write_tokens": 0},
            "output_tokens": self._spoken.count,
            "output_tokens_details": {"reasoning_tokens": len(self._spoken.thought)},
            "total_tokens": self._prompt + self._spoken.count,
        }

    def events(self, error: dict[str, Any]) -> Iterator[bytes]:
        """The response as server-sent events; `error` is what a stream that fails says instead of going on."""
        started = self._response("in_progress", [])
        yield self._event("response.created", response=started) + self._event("response.in_progress", response=started)
        position = 0
        for index, item in enumerate(self._items):
            yield self._event("response.output_item.added", output_index=index, item=item.written("in_progress"))
            for deltas in item.deltas(index):
                if self._call.fails_at(position):
                    yield self._event("error", **error)
                    return
                position += 1
                yield b"".join(self._event(kind, **members) for kind, members in deltas)
                yield PAUSE
            for kind, members in item.ends(index):
                yield self._event(kind, **members)
            yield self._event("response.output_item.done", output_index=index, item=item.written(self._status))
        yield self._event(f"response.{self._status}", response=self.whole())

    def _event(self, kind: str, **members: Any) -> bytes:
        event = {"type": kind, "sequence_number": self._serial, **members}
        self._serial += 1
        return sse.named(kind, words.dumps(event))


_Told = tuple[str, dict[str, Any]]  # the kind of an event, and its members


class _Text:
    """The item that says something."""

    def __init__(self, tokens: tuple[str, ...]) -> None:
        self._id = f"msg_{secrets.token_hex(24)}"
        self._tokens = tokens

    def written(self, status: str) -> dict[str, Any]:
        content = [] if status == "in_progress" else [_part("".join(self._tokens))]
        return {"id": self._id, "type": "message", "status": status, "content": content, "role": "assistant"}

    def deltas(self, index: int) -> Iterator[list[_Told]]:
        """What a pause follows; the part is opened together with its first token."""
        opening: list[_Told] = [("response.content_part.added", {**self._where(index), "part": _part("")})]
        for token in self._tokens:
            yield [*opening, ("response.output_text.delta", {**self._where(index), "delta": token, "logprobs": []})]
            opening = []
        if opening:
            yield opening

    def ends(self, index: int) -> Iterator[_Told]:
        said = "".join(self._tokens)
        yield "response.output_text.done", {**self._where(index), "text": said, "logprobs": []}
        yield "response.content_part.done", {**self._where(index), "part": _part(said)}

    def _where(self, index: int) -> dict[str, Any]:
        return {"item_id": self._id, "output_index": index, "content_index": 0}


class _Call:
    """The item that calls a tool."""

    def __init__(self, use: Use) -> None:
        self._id = f"fc_{secrets.token_hex(24)}"
        self._call_id = f"call_{secrets.token_hex(12)}"
        self._use = use

    def written(self, status: str) -> dict[str, Any]:
        return {
            "id": self._id,
            "type": "function_call",
            "status": status,
            "arguments": "" if status == "in_progress" else self._use.written,
            "call_id": self._call_id,
            "name": self._use.name,
        }

    def deltas(self, index: int) -> Iterator[list[_Told]]:
        where = {"item_id": self._id, "output_index": index}
        for piece in self._use.pieces:
            yield [("response.function_call_arguments.delta", {**where, "delta": piece})]

    def ends(self, index: int) -> Iterator[_Told]:
        where = {"item_id": self._id, "output_index": index, "name": self._use.name, "arguments": self._use.written}
        yield "response.function_call_arguments.done", where


def _wish(call: Call, body: dict[str, Any]) -> Wish:
    choice = body.get("tool_choice")
    output = (body.get("text") or {}).get("format") or {}
    effort = (body.get("reasoning") or {}).get("effort")
    return Wish(
        tools=[Tool(name=tool["name"], schema=tool.get("parameters")) for tool in body.get("tools") or ()],
        must_call=choice == "required",
        may_call=choice != "none",
        named=choice.get("name") if isinstance(choice, dict) else None,
        parallel=body.get("parallel_tool_calls") is not False,
        limit=body.get("max_output_tokens"),
        thinks=call.behaviour.think and effort != "none" and (effort is not None or is_reasoning(body["model"])),
        schema=output.get("schema") if output.get("type") == "json_schema" else None,
    )


def _cached(call: Call, body: dict[str, Any]) -> int:
    key = body.get("prompt_cache_key")
    if key is None:
        return 0
    asked = body["input"] if isinstance(body["input"], list) else [body["input"]]
    blocks = [Block(body.get("tools")), Block(body.get("instructions")), *(Block(item) for item in asked)]
    return call.prompts.by_key(f"{call.host} {body['model']} {key}", blocks)


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}
