"""The answers of Claude models in the Messages format, as Anthropic, Bedrock and Google all serve it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from llmauth.demo import thoughts, words
from llmauth.demo.claude_turns import THINKS
from llmauth.demo.emulator import Call
from llmauth.demo.prompt_cache import Block
from llmauth.demo.spoken import Spoken, Tool, Use, Wish, speak

_SPEAKER = "Claude"


@dataclass(frozen=True, slots=True)
class Event:
    """One stream event; `pause` when the model takes the time of a token after it."""

    name: str
    data: bytes
    pause: bool = False


class Reply:
    """One message while it comes into being. `prompt` is all that was read, `count` all that was written."""

    def __init__(self, call: Call, body: dict[str, Any], model: str) -> None:
        self._call = call
        self._model = model
        self._spoken = speak(call, wish(call, body), _SPEAKER)
        self._cached = call.prompts.by_marks(f"{call.host} {model}", _prompt(body))
        self._shown = (body.get("thinking") or {}).get("display") != "omitted"
        self.prompt = max(words.estimate(call.request.body), self._cached.total)
        self.count = self._spoken.count
        self._ids = [f"toolu_{secrets.token_hex(12)}" for _ in self._spoken.uses]

    @property
    def _reason(self) -> str:
        return "tool_use" if self._spoken.uses else "max_tokens" if self._spoken.cut else "end_turn"

    def whole(self) -> dict[str, Any]:
        """The message as one object."""
        return self._message(list(self._content()), self._reason, self.count)

    def _content(self) -> Iterator[dict[str, Any]]:
        spoken = self._spoken
        if spoken.thought:
            yield {"type": "thinking", "thinking": self._thought, "signature": thoughts.sign(self._thought)}
        for id_, use in zip(self._ids, spoken.uses, strict=True):
            yield {**_tool_block(id_, use), "input": use.arguments}
        if not spoken.uses:
            yield {"type": "text", "text": spoken.text}

    @property
    def _thought(self) -> str:
        return self._spoken.thinking if self._shown else ""

    def _message(self, content: list[dict[str, Any]], reason: str | None, said: int) -> dict[str, Any]:
        return {
            "id": f"msg_{secrets.token_hex(12)}",
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": content,
            "stop_reason": reason,
            "stop_sequence": None,
            "usage": {**self._input(), **_output(self._spoken, said), "service_tier": "standard"},
        }

    def _input(self) -> dict[str, Any]:
        """What was read from the cache and written there is counted beside the rest."""
        cached = self._cached
        return {
            "input_tokens": self.prompt - cached.total,
            "cache_creation_input_tokens": cached.written,
            "cache_read_input_tokens": cached.read,
            "cache_creation": {
                "ephemeral_5m_input_tokens": cached.written - cached.hour,
                "ephemeral_1h_input_tokens": cached.hour,
            },
        }

    def events(self) -> Iterator[Event]:
        """The message as events; usage is split over the first and the last but one."""
        yield _event("message_start", message=self._message([], None, 1))
        position = 0
        for index, (block, deltas) in enumerate(self._blocks()):
            yield _event("content_block_start", index=index, content_block=block)
            if index == 0:
                yield _event("ping")
            for delta in deltas:
                if self._call.fails_at(position):
                    return
                position += 1
                yield Event("content_block_delta", delta, pause=True)
            yield _event("content_block_stop", index=index)
        usage = _output(self._spoken, self.count)
        yield _event("message_delta", delta={"stop_reason": self._reason, "stop_sequence": None}, usage=usage)
        yield _event("message_stop")

    @property
    def fails(self) -> bool:
        """Whether `events` ends before the message does."""
        return self._call.behaviour.fail_after is not None

    def _blocks(self) -> Iterator[tuple[dict[str, Any], Iterator[bytes]]]:
        """The blocks as they begin, and the deltas of each."""
        index = 0
        if self._spoken.thought:
            yield {"type": "thinking", "thinking": "", "signature": ""}, self._thinking()
            index = 1
        for id_, use in zip(self._ids, self._spoken.uses, strict=True):
            template = _delta(index, {"type": "input_json_delta", "partial_json": words.Template.HOLE})
            yield _tool_block(id_, use), _filled(template, ["", *use.pieces])
            index += 1
        if not self._spoken.uses:
            template = _delta(index, {"type": "text_delta", "text": words.Template.HOLE})
            yield {"type": "text", "text": ""}, _filled(template, self._spoken.tokens)

    def _thinking(self) -> Iterator[bytes]:
        template = _delta(0, {"type": "thinking_delta", "thinking": words.Template.HOLE})
        yield from _filled(template, self._spoken.thought if self._shown else ())
        signature = {"type": "signature_delta", "signature": thoughts.sign(self._thought)}
        yield words.dumps({"type": "content_block_delta", "index": 0, "delta": signature})


def wish(call: Call, body: dict[str, Any]) -> Wish:
    """What of a request decides the answer."""
    choice = body.get("tool_choice") or {}
    tools = [tool for tool in body.get("tools") or () if tool.get("type", "custom") == "custom"]
    output = (body.get("output_config") or {}).get("format") or {}
    return Wish(
        tools=[Tool(name=tool["name"], schema=tool.get("input_schema")) for tool in tools],
        must_call=choice.get("type") == "any",
        may_call=choice.get("type") != "none",
        named=choice.get("name"),
        parallel=not choice.get("disable_parallel_tool_use"),
        limit=body["max_tokens"],
        thinks=_thinks(call, body),
        schema=output.get("schema"),
    )


def _thinks(call: Call, body: dict[str, Any]) -> bool:
    """With a budget, a model thinks before it calls a tool in any case: else it would refuse its own turn later."""
    kind = (body.get("thinking") or {}).get("type")
    wanted = call.behaviour.think or (kind == "enabled" and call.behaviour.call_tool)
    return wanted and kind in THINKS


def _prompt(body: dict[str, Any]) -> Iterator[Block]:
    """The prompt in the order of its cache: tools, system, messages."""
    blocks = [*_marked("tool", body.get("tools")), *_marked("system", body.get("system"))]
    for message in body["messages"]:
        blocks += _marked(message["role"], message["content"])
    if body.get("cache_control") and blocks:  # of the whole request: up to its last block
        blocks[-1] = Block(blocks[-1].content, body["cache_control"].get("ttl", "5m"))
    return iter(blocks)


def _marked(role: str, content: str | list[dict[str, Any]] | None) -> Iterator[Block]:
    parts: list[dict[str, Any]] = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
    for part in parts:
        control = part.get("cache_control")
        yield Block([role, part], control.get("ttl", "5m") if control else None)


def _output(spoken: Spoken, said: int) -> dict[str, Any]:
    told: dict[str, Any] = {"output_tokens": said}
    thought = {"output_tokens_details": {"thinking_tokens": len(spoken.thought)}}
    return {**told, **thought} if spoken.thought and said == spoken.count else told


def _tool_block(id_: str, use: Use) -> dict[str, Any]:
    return {"type": "tool_use", "id": id_, "name": use.name, "input": {}}


def _event(name: str, **members: Any) -> Event:
    return Event(name, words.dumps({"type": name, **members}))


def _delta(index: int, delta: dict[str, Any]) -> words.Template:
    return words.Template({"type": "content_block_delta", "index": index, "delta": delta})


def _filled(template: words.Template, tokens: Any) -> Iterator[bytes]:
    return (template.fill(token) for token in tokens)
