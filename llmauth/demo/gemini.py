"""The answers of Gemini models: whole, in the pieces of a stream, and counted."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from llmauth.demo import gemini_shapes, thoughts, words
from llmauth.demo.emulator import Call
from llmauth.demo.gemini_turns import TEXT
from llmauth.demo.spoken import Tool, Wish, speak

_SPEAKER = "Gemini"
_ALWAYS_THINKS = re.compile(r"gemini-[3-9]")


def count(call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """The answer to countTokens; raises Mismatch."""
    gemini_shapes.count(body)
    tokens = words.estimate(call.request.body)
    return {
        "totalTokens": tokens,
        "totalBillableCharacters": len(call.request.body),
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens}],
    }


class Reply:
    """One answer while it comes into being; raises Mismatch for a request that is none."""

    def __init__(self, call: Call, body: dict[str, Any], model: str) -> None:
        body = gemini_shapes.generate(body)
        config = body.get("generationConfig") or {}
        self._call = call
        self._blocked = call.behaviour.error if call.behaviour.status is None else None
        self._numbered = _ALWAYS_THINKS.match(model) is not None
        self._shown = bool((config.get("thinkingConfig") or {}).get("includeThoughts"))
        self._candidates = config.get("candidateCount") or 1
        self._prompt = words.estimate(call.request.body)
        self._frame = {
            "modelVersion": model,
            "createTime": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "responseId": secrets.token_urlsafe(16),
        }
        self._salt = _signature().encode()
        self._spoken = speak(call, _wish(call, body, model), _SPEAKER)
        # A function call ends with STOP too: only the parts tell of it.
        self._reason = "MAX_TOKENS" if self._spoken.cut else "STOP"

    def whole(self) -> dict[str, Any]:
        """All candidates."""
        if self._blocked is not None:
            return self._refused()
        parts = [part for parts in self._pieces() for part in parts]
        candidates = [self._candidate(index, _joined(parts), self._reason) for index in range(self._candidates)]
        return {"candidates": candidates, "usageMetadata": self._usage(last=True), **self._frame}

    def chunks(self) -> Iterator[dict[str, Any]]:
        """The same as a stream: each piece is an answer with the new parts, the last has the reason and the bill."""
        if self._blocked is not None:
            yield self._refused()
            return
        pieces = list(self._pieces())
        for index in range(self._candidates):
            for position, parts in enumerate(pieces):
                if self._call.fails_at(position):
                    return
                last = position == len(pieces) - 1
                candidate = self._candidate(index, parts, self._reason if last else None)
                ends = last and index == self._candidates - 1
                yield {"candidates": [candidate], "usageMetadata": self._usage(last=ends), **self._frame}

    @property
    def fails(self) -> bool:
        """Whether `chunks` ends before the answer does."""
        return self._call.behaviour.fail_after is not None

    def _pieces(self) -> Iterator[list[dict[str, Any]]]:
        """The parts, by the piece of a stream they come in; the first piece of text is two parts."""
        if self._spoken.thought and self._shown:
            yield [{"text": self._spoken.thinking, "thought": True}]
        if self._spoken.uses:
            yield from ([part] for part in self._calls())
            return
        tokens = self._spoken.tokens or ("",)
        parts: list[dict[str, Any]] = [{"text": token} for token in tokens]
        if self._spoken.thought:
            parts[-1]["thoughtSignature"] = thoughts.sign(TEXT, self._salt)
        yield parts[:2]
        yield from ([part] for part in parts[2:])

    def _calls(self) -> Iterator[dict[str, Any]]:
        """Of calls that are made at once the first alone is signed."""
        for position, use in enumerate(self._spoken.uses):
            called: dict[str, Any] = {"name": use.name, "args": use.arguments}
            if self._numbered:
                called["id"] = hashlib.sha256(self._salt + b"%d" % position).hexdigest()[:8]
            part: dict[str, Any] = {"functionCall": called}
            if position == 0:
                part["thoughtSignature"] = thoughts.sign(thoughts.of_call(use.name, use.arguments), self._salt)
            yield part

    def _candidate(self, index: int, parts: list[dict[str, Any]], reason: str | None) -> dict[str, Any]:
        candidate = {"index": index, "content": {"role": "model", "parts": parts}}
        return candidate if reason is None else {**candidate, "finishReason": reason, "avgLogprobs": -0.1}

    def _usage(self, *, last: bool) -> dict[str, Any]:
        usage: dict[str, Any] = {"trafficType": "ON_DEMAND", "promptTokenCount": self._prompt}
        if last:
            said, thought = self._spoken.said * self._candidates, len(self._spoken.thought)
            usage |= {"candidatesTokenCount": said, "totalTokenCount": self._prompt + said + thought}
            usage |= {"promptTokensDetails": [{"modality": "TEXT", "tokenCount": self._prompt}]}
            if thought:
                usage["thoughtsTokenCount"] = thought
        return usage

    def _refused(self) -> dict[str, Any]:
        """A prompt that is blocked has no candidate at all."""
        feedback = {"blockReason": self._blocked, "blockReasonMessage": "The prompt was blocked."}
        usage = {"promptTokenCount": self._prompt, "totalTokenCount": self._prompt}
        return {"promptFeedback": feedback, "usageMetadata": usage, **self._frame}


def _signature() -> str:
    """What makes the signatures of one answer its own, so that no two are alike."""
    return secrets.token_urlsafe(6)


def _joined(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Parts as they stand in a whole answer: what is said is one of them."""
    said = [part for part in parts if "text" in part and not part.get("thought")]
    rest = [part for part in parts if part not in said]
    if not said:
        return rest
    signature = {name: value for name, value in said[-1].items() if name == "thoughtSignature"}
    return [*rest, {"text": "".join(part["text"] for part in said), **signature}]


def _wish(call: Call, body: dict[str, Any], model: str) -> Wish:
    config = body.get("generationConfig") or {}
    functions = [one for tool in body.get("tools") or () for one in tool.get("functionDeclarations") or ()]
    calling = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    allowed = calling.get("allowedFunctionNames")
    return Wish(
        tools=[
            Tool(name=one["name"], schema=one.get("parametersJsonSchema") or _plain_schema(one.get("parameters")))
            for one in functions
            if not allowed or one["name"] in allowed
        ],
        must_call=calling.get("mode") == "ANY",
        may_call=calling.get("mode") != "NONE",
        limit=config.get("maxOutputTokens"),
        thinks=_thinks(call, config.get("thinkingConfig"), model),
        schema=config.get("responseJsonSchema") or _plain_schema(config.get("responseSchema")),
    )


def _thinks(call: Call, config: dict[str, Any] | None, model: str) -> bool:
    """Gemini 3 always does; the others where they are asked to show it, or asked at all and told to by the test."""
    if _ALWAYS_THINKS.match(model):
        return True
    if config is None or config.get("thinkingBudget") == 0:
        return False
    return bool(config.get("includeThoughts")) or call.behaviour.think


def _plain_schema(schema: Any) -> Any:
    """Google's own schema has the same members, and its types in capitals."""
    if isinstance(schema, list):
        return [_plain_schema(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: value.lower() if name == "type" and isinstance(value, str) else _plain_schema(value)
        for name, value in schema.items()
    }
