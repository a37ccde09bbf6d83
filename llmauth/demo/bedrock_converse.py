"""Bedrock's Converse as it is answered: whole, and as a stream of events."""

from __future__ import annotations

import json
import secrets
import string
from collections.abc import Iterator
from typing import Any

from llmauth.demo import eventstream, thoughts, words
from llmauth.demo.bedrock_converse_shapes import check
from llmauth.demo.bedrock_models import Model
from llmauth.demo.claude_turns import THINKS
from llmauth.demo.emulator import PAUSE, Call
from llmauth.demo.prompt_cache import Block
from llmauth.demo.shapes import Fault, Mismatch
from llmauth.demo.spoken import Tool, Use, Wish, speak

__all__ = ["Reply", "check", "padding"]

_SPEAKER = "Bedrock"
_COUNTED = "/usage/output_tokens_details"  # Claude's own count of thoughts, of which Converse tells none


class Reply:
    """One answer while it comes into being."""

    def __init__(self, call: Call, body: dict[str, Any], model: Model) -> None:
        self._call = call
        self._signed = model.vendor == "anthropic"
        self._spoken = speak(call, _wish(call, body, model), _SPEAKER)
        self._cached = call.prompts.by_marks(f"{call.host} {model.name}", _prompt(body))
        self._counted = self._signed and _COUNTED in body.get("additionalModelResponseFieldPaths", ())
        self._ids = [f"tooluse_{secrets.token_urlsafe(16)}" for _ in self._spoken.uses]

    @property
    def _ending(self) -> dict[str, Any]:
        reason = "tool_use" if self._spoken.uses else "max_tokens" if self._spoken.cut else "end_turn"
        if not (self._counted and self._spoken.thought):
            return {"stopReason": reason}
        details = {"output_tokens_details": {"thinking_tokens": len(self._spoken.thought)}}
        return {"stopReason": reason, "additionalModelResponseFields": {"usage": details}}

    def whole(self) -> dict[str, Any]:
        """The answer as one object."""
        return {
            "metrics": {"latencyMs": 42},
            "output": {"message": {"content": list(self._content()), "role": "assistant"}},
            **self._ending,
            "usage": self._usage(),
        }

    def _usage(self) -> dict[str, Any]:
        """What was read from the cache and written there is counted beside the rest."""
        cached, said = self._cached, self._spoken.count
        prompt = max(words.estimate(self._call.request.body), cached.total)
        usage: dict[str, Any] = {
            "inputTokens": prompt - cached.total,
            "outputTokens": said,
            "totalTokens": prompt + said,
        }
        if not cached.total:
            return usage
        usage |= {"cacheReadInputTokens": cached.read, "cacheWriteInputTokens": cached.written}
        kept = {"5m": cached.written - cached.hour, "1h": cached.hour}
        details = [{"ttl": ttl, "inputTokens": tokens} for ttl, tokens in kept.items() if tokens]
        return {**usage, "cacheDetails": details} if details else usage

    def _content(self) -> Iterator[dict[str, Any]]:
        spoken = self._spoken
        if spoken.thought:
            signature = {"signature": thoughts.sign(spoken.thinking)} if self._signed else {}
            yield {"reasoningContent": {"reasoningText": {"text": spoken.thinking, **signature}}}
        for id_, use in zip(self._ids, spoken.uses, strict=True):
            yield {"toolUse": {**_use(id_, use), "input": use.arguments}}
        if not spoken.uses:
            yield {"text": spoken.text}

    def events(self) -> Iterator[bytes]:
        """The answer as frames: a text block has no start event, and the bill comes after the stop."""
        yield _frame("messageStart", {"role": "assistant"})
        position = 0
        for index, (start, deltas) in enumerate(self._blocks()):
            if start is not None:
                yield _frame("contentBlockStart", {"contentBlockIndex": index, "start": {"toolUse": start}})
            for delta in deltas:
                if self._call.fails_at(position):
                    yield _failure()
                    return
                position += 1
                yield _frame("contentBlockDelta", {"contentBlockIndex": index, "delta": delta})
                yield PAUSE
            yield _frame("contentBlockStop", {"contentBlockIndex": index})
        yield _frame("messageStop", self._ending)
        yield _frame("metadata", {"metrics": {"latencyMs": 42}, "usage": self._usage()})

    def _blocks(self) -> Iterator[tuple[dict[str, Any] | None, Iterator[dict[str, Any]]]]:
        """How each block starts, and its deltas."""
        if self._spoken.thought:
            yield None, self._thinking()
        for id_, use in zip(self._ids, self._spoken.uses, strict=True):
            yield _use(id_, use), ({"toolUse": {"input": piece}} for piece in use.pieces)
        if not self._spoken.uses:
            yield None, ({"text": token} for token in self._spoken.tokens)

    def _thinking(self) -> Iterator[dict[str, Any]]:
        for thought in self._spoken.thought:
            yield {"reasoningContent": {"text": thought}}
        if self._signed:
            yield {"reasoningContent": {"signature": thoughts.sign(self._spoken.thinking)}}


def _wish(call: Call, body: dict[str, Any], model: Model) -> Wish:
    config, fields = body.get("toolConfig") or {}, body.get("additionalModelRequestFields") or {}
    tools = [tool["toolSpec"] for tool in config.get("tools", ()) if "toolSpec" in tool]
    choice = config.get("toolChoice") or {}
    return Wish(
        tools=[Tool(name=tool["name"], schema=tool["inputSchema"]["json"]) for tool in tools],
        must_call="any" in choice,
        named=(choice.get("tool") or {}).get("name"),
        parallel=not (fields.get("tool_choice") or {}).get("disable_parallel_tool_use"),
        limit=(body.get("inferenceConfig") or {}).get("maxTokens"),
        thinks=_thinks(call, fields, model),
        schema=_schema(body),
    )


def _thinks(call: Call, fields: dict[str, Any], model: Model) -> bool:
    """Claude thinks before it calls a tool in any case if it has a budget: else it would refuse its own turn later."""
    behaviour = call.behaviour
    if model.vendor == "anthropic":
        kind = (fields.get("thinking") or {}).get("type")
        return kind in THINKS and (behaviour.think or (kind == "enabled" and behaviour.call_tool))
    nova = (fields.get("reasoningConfig") or {}).get("type") == "enabled"
    return behaviour.think and (nova or "reasoning_effort" in fields)


def _schema(body: dict[str, Any]) -> Any:
    """That of a structured answer, which travels as a text."""
    output = (body.get("outputConfig") or {}).get("textFormat") or {}
    written = ((output.get("structure") or {}).get("jsonSchema") or {}).get("schema")
    if written is None:
        return None
    place = "outputConfig.textFormat.structure.jsonSchema.schema"
    try:
        schema = json.loads(written)
    except (TypeError, ValueError):
        raise Mismatch(Fault.WRONG, "expected JSON in a string", place) from None
    if not isinstance(schema, dict):
        raise Mismatch(Fault.WRONG, "expected an object in a string", place)
    return schema


def _prompt(body: dict[str, Any]) -> Iterator[Block]:
    """The prompt in the order of its cache, with the marks on what stands before them."""
    config = body.get("toolConfig") or {}
    content = [("tool", config.get("tools") or []), ("system", body.get("system") or [])]
    content += [(message["role"], message["content"]) for message in body["messages"]]
    told: list[Block] = []
    for role, blocks in content:
        for block in blocks:
            if "cachePoint" not in block:
                told.append(Block([role, block]))
            elif told:
                told[-1] = Block(told[-1].content, block["cachePoint"].get("ttl", "5m"))
    return iter(told)


def _use(id_: str, use: Use) -> dict[str, Any]:
    return {"toolUseId": id_, "name": use.name}


def _failure() -> bytes:
    message = {"message": "The model did not finish.", "originalStatusCode": 500, "originalMessage": "internal error"}
    return eventstream.exception("modelStreamErrorException", words.dumps(message))


def _frame(kind: str, payload: dict[str, Any]) -> bytes:
    """A frame with the padding key `p`, by which AWS hides how long each piece of text is."""
    return eventstream.event(kind, words.dumps({**payload, "p": padding()}))


def padding() -> str:
    """Between one and 52 letters."""
    return string.ascii_letters[: 1 + secrets.randbelow(52)]
