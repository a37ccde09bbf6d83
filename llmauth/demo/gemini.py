"""The answers of Gemini models: whole, in the pieces of a stream, counted and embedded."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from llmauth.demo import gemini_shapes, words
from llmauth.demo.emulator import Call

_SPEAKER = "Gemini"


def count(call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """The answer to countTokens; raises Mismatch."""
    gemini_shapes.count(body)
    tokens = words.estimate(call.request.body)
    return {
        "totalTokens": tokens,
        "totalBillableCharacters": len(call.request.body),
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens}],
    }


def embed(call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """The answer to embedContent; raises Mismatch."""
    body = gemini_shapes.embed(body)
    config = body.get("embedContentConfig") or {}
    size = body.get("outputDimensionality") or config.get("outputDimensionality") or 3072
    prompt = words.estimate(call.request.body)
    usage = {"promptTokenCount": prompt, "totalTokenCount": prompt}
    return {"embedding": {"values": _vector(size)}, "usageMetadata": usage, "truncated": False}


def predict(call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """The answer of an older embedding model; raises Mismatch."""
    gemini_shapes.predict(body)
    size = (body.get("parameters") or {}).get("outputDimensionality") or 768
    statistics = {"token_count": words.estimate(call.request.body), "truncated": False}
    embedding = {"embeddings": {"values": _vector(size), "statistics": statistics}}
    return {"predictions": [embedding] * len(body["instances"]), "metadata": {"billableCharacterCount": 1}}


def _vector(size: int) -> list[float]:
    return [((i * 37) % 101 - 50) / 1024 for i in range(size)]


@dataclass(frozen=True, slots=True)
class _Ending:
    """How a candidate ends, and what it cost."""

    reason: str
    said: int
    thought: int


class Reply:
    """One answer while it comes into being; raises Mismatch for a request that is none."""

    def __init__(self, call: Call, body: dict[str, Any], model: str) -> None:
        body = gemini_shapes.generate(body)
        config = body.get("generationConfig") or {}
        self._call = call
        self._blocked = call.behaviour.error if call.behaviour.status is None else None
        self._thinks = bool((config.get("thinkingConfig") or {}).get("includeThoughts"))
        self._candidates = config.get("candidateCount") or 1
        self._prompt = words.estimate(call.request.body)
        self._frame = {
            "modelVersion": model,
            "createTime": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "responseId": secrets.token_urlsafe(16),
        }
        self._function = _forced_function(call, body)
        limit = config.get("maxOutputTokens")
        self._count = call.tokens(limit)
        cut = limit is not None and self._count >= limit and self._function is None
        # A function call ends with STOP too: only the parts tell of it.
        self._ending = _Ending("MAX_TOKENS" if cut else "STOP", self._count, 7 if self._thinks else 0)

    def whole(self) -> dict[str, Any]:
        """All candidates."""
        if self._blocked is not None:
            return self._refused()
        parts = [part for parts in self._pieces() for part in parts]
        said = "".join(part["text"] for part in parts if "text" in part and not part.get("thought"))
        parts = [part for part in parts if part.get("thought") or "text" not in part]
        parts += [{"text": said}] if self._function is None else []
        candidates = [self._candidate(index, parts, self._ending.reason) for index in range(self._candidates)]
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
                candidate = self._candidate(index, parts, self._ending.reason if last else None)
                ends = last and index == self._candidates - 1
                yield {"candidates": [candidate], "usageMetadata": self._usage(last=ends), **self._frame}

    @property
    def fails(self) -> bool:
        """Whether `chunks` ends before the answer does."""
        return self._call.behaviour.fail_after is not None

    def _pieces(self) -> Iterator[list[dict[str, Any]]]:
        """The parts, by the piece of a stream they come in; the first piece of text is two parts."""
        if self._thinks:
            yield [{"text": "I greet whoever asks.", "thought": True}]
        if self._function is not None:
            yield [{"functionCall": self._function, "thoughtSignature": _signature()}]
            return
        tokens = words.tokens(_SPEAKER, self._count)
        yield [{"text": token} for token in tokens[:2]]
        for token in tokens[2:]:
            yield [{"text": token}]

    def _candidate(self, index: int, parts: list[dict[str, Any]], reason: str | None) -> dict[str, Any]:
        candidate = {"index": index, "content": {"role": "model", "parts": parts}}
        return candidate if reason is None else {**candidate, "finishReason": reason, "avgLogprobs": -0.1}

    def _usage(self, *, last: bool) -> dict[str, Any]:
        usage: dict[str, Any] = {"trafficType": "ON_DEMAND", "promptTokenCount": self._prompt}
        if last:
            said, thought = self._ending.said * self._candidates, self._ending.thought
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
    return base64.b64encode(secrets.token_bytes(48)).decode()


def _forced_function(call: Call, body: dict[str, Any]) -> dict[str, Any] | None:
    """The call of a function, where the request forces one or the behaviour asks for it."""
    functions = [one for tool in body.get("tools") or () for one in tool.get("functionDeclarations") or ()]
    calling = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    if not functions or not (calling.get("mode") == "ANY" or call.behaviour.call_tool):
        return None
    allowed = calling.get("allowedFunctionNames")
    chosen = next((one for one in functions if not allowed or one["name"] in allowed), functions[0])
    schema = chosen.get("parametersJsonSchema") or _plain_schema(chosen.get("parameters"))
    return {"name": chosen["name"], "args": words.example(schema)}


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
