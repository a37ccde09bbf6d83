"""Bedrock's InvokeModel as it is answered for Claude, Titan and Embed: whole, and in `chunk` frames."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from llmauth.demo import bedrock_embeddings, claude, claude_shapes, eventstream, words
from llmauth.demo.bedrock_converse import padding
from llmauth.demo.bedrock_models import Model
from llmauth.demo.claude_turns import check_thinking, check_turns
from llmauth.demo.emulator import PAUSE, Call
from llmauth.demo.shapes import Fault, Mismatch, filled, integer, list_of, number, one_of, record, text

_claude = record(
    {
        **claude_shapes.MESSAGE,
        "anthropic_version": one_of("bedrock-2023-05-31", "2026-10-21"),
        "anthropic_beta": list_of(text),
    },
    "anthropic_version",
    "max_tokens",
    "messages",
)
_titan_text = record(
    {
        "inputText": filled,
        "textGenerationConfig": record(
            {
                "maxTokenCount": integer(0, 8192),
                "temperature": number(0, 1),
                "topP": number(0, 1),
                "stopSequences": list_of(text),
            }
        ),
    },
    "inputText",
)


class ClaudeReply:
    """A Claude model's answer to InvokeModel."""

    def __init__(self, call: Call, body: dict[str, Any], model: Model) -> None:
        _claude(body)
        check_turns(body)
        check_thinking(body)
        self._reply = claude.Reply(call, body, model.name.partition("-v1")[0])
        self.tokens = (self._reply.prompt, self._reply.count)

    def whole(self) -> dict[str, Any]:
        """The message."""
        return self._reply.whole()

    def events(self) -> Iterator[bytes]:
        """Each event of the message in a frame of its own; the last carries the bill. Bedrock sends no pings."""
        for event in self._reply.events():
            if event.name == "ping":
                continue
            data = event.data
            if event.name == "message_stop":
                data = words.dumps({"type": "message_stop", "amazon-bedrock-invocationMetrics": _metrics(*self.tokens)})
            yield _chunk(data)
            if event.pause:
                yield PAUSE
        if self._reply.fails:
            yield eventstream.exception(
                "modelStreamErrorException", words.dumps({"message": "The model did not finish."})
            )


class TitanReply:
    """A Titan text model's answer to InvokeModel."""

    def __init__(self, call: Call, body: dict[str, Any]) -> None:
        _titan_text(body)
        limit = body.get("textGenerationConfig", {}).get("maxTokenCount")
        self._count = call.tokens(limit)
        self._reason = "LENGTH" if limit is not None and self._count >= limit else "FINISHED"
        self._call = call
        self.tokens = (words.estimate(call.request.body), self._count)

    def whole(self) -> dict[str, Any]:
        """The text with its counts."""
        result = {
            "tokenCount": self._count,
            "outputText": words.text("Titan", self._count),
            "completionReason": self._reason,
        }
        return {"inputTextTokenCount": self.tokens[0], "results": [result]}

    def events(self) -> Iterator[bytes]:
        """A frame a token; the last carries the bill."""
        said = words.tokens("Titan", self._count)
        for position, token in enumerate(said):
            if self._call.fails_at(position):
                yield eventstream.exception("throttlingException", words.dumps({"message": "Too many requests."}))
                return
            yield _chunk(words.dumps(self._piece(token, position, last=position == len(said) - 1)))
            yield PAUSE

    def _piece(self, token: str, position: int, *, last: bool) -> dict[str, Any]:
        piece: dict[str, Any] = {
            "outputText": token,
            "index": 0,
            "totalOutputTextTokenCount": position + 1 if last else None,
            "completionReason": self._reason if last else None,
            "inputTextTokenCount": self.tokens[0],
        }
        if last:
            piece["amazon-bedrock-invocationMetrics"] = _metrics(*self.tokens)
        return piece


class EmbeddingReply:
    """An embedding model's answer to InvokeModel; it has no stream."""

    def __init__(self, call: Call, body: dict[str, Any], model: Model) -> None:
        self.tokens = (words.estimate(call.request.body), 0)
        if model.vendor == "cohere":
            self._told = bedrock_embeddings.cohere(body, model.name)
        else:
            self._told = bedrock_embeddings.titan(body, model.name, self.tokens[0])

    def whole(self) -> dict[str, Any]:
        """The vectors; Titan tells its count beside them, of Cohere's tells the header alone."""
        return self._told

    def events(self) -> Iterator[bytes]:
        """Refused."""
        raise Mismatch(Fault.WRONG, "expected a model that streams", "modelId")


def reply(call: Call, body: dict[str, Any], model: Model) -> ClaudeReply | TitanReply | EmbeddingReply:
    """The answer of the model's vendor; raises Mismatch."""
    if model.vendor == "anthropic":
        return ClaudeReply(call, body, model)
    if model.vendor == "amazon" and model.name.startswith("titan-text"):
        return TitanReply(call, body)
    if (model.vendor, model.name[:6]) == ("cohere", "embed-") or model.name.startswith("titan-embed-text"):
        return EmbeddingReply(call, body, model)
    raise Mismatch(Fault.WRONG, "expected a Claude, Titan or Embed model: no other is emulated for it", "modelId")


def _chunk(event: bytes) -> bytes:
    return eventstream.event("chunk", words.dumps({"bytes": base64.b64encode(event).decode(), "p": padding()}))


def _metrics(prompt: int, said: int) -> dict[str, int]:
    return {"inputTokenCount": prompt, "outputTokenCount": said, "invocationLatency": 42, "firstByteLatency": 21}
