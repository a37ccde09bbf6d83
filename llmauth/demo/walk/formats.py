"""The formats that providers speak, and whether what one received is its own: address, members, and where words are."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from llmauth.demo.recorder import Recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A provider's format: the members that a request has, or may have, and where in it the caller's words are."""

    name: str
    needs: frozenset[str]
    allows: frozenset[str] = frozenset()
    words: Callable[[Mapping[str, Any]], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What must have come of a call: the instance that paid, its provider's address, and there these words."""

    instance: str
    host: str
    target: str
    format: Format
    words: str


def faults(wanted: Wanted, record: Recorded) -> Iterator[str]:
    """Whatever a provider received otherwise than in its own format, at its own address, with the caller's words."""
    if record.host != wanted.host:
        yield f"{record.host} received it instead of {wanted.host}"
    target = record.target.decode("latin-1")
    if target != wanted.target:
        yield f"the provider received it at {target} instead of {wanted.target}"
    try:
        body = json.loads(record.body)
    except ValueError:
        body = None
    if isinstance(body, dict):
        yield from _faults_of_body(wanted, body)
    else:
        yield "the provider received no JSON object"


def _faults_of_body(wanted: Wanted, body: dict[str, Any]) -> Iterator[str]:
    shape = wanted.format
    if missing := shape.needs - body.keys():
        yield f"the provider received no {', '.join(sorted(missing))}, which {shape.name} needs"
    if foreign := body.keys() - shape.needs - shape.allows:
        yield f"the provider received {', '.join(sorted(foreign))}, which {shape.name} does not have"
    try:
        said = shape.words(body)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        said = None
    if said != wanted.words:
        yield f"the caller's words are not where {shape.name} has them"


def _of_converse(body: Mapping[str, Any]) -> object:
    (block,) = body["messages"][0]["content"]
    return block["text"]


def _result_in_converse(body: Mapping[str, Any]) -> object:
    """The result of a tool, if it answers the call that stands before it."""
    *_, called, told = body["messages"]
    (block,) = told["content"]
    result = block["toolResult"]
    answers = result["toolUseId"] == called["content"][-1]["toolUse"]["toolUseId"]
    return result["content"][0]["text"] if answers else None


def _of_gemini(body: Mapping[str, Any]) -> object:
    (part,) = body["contents"][0]["parts"]
    return part["text"]


def _of_messages(body: Mapping[str, Any]) -> object:
    return body["messages"][-1]["content"]


_CONVERSE = ("system", "inferenceConfig", "toolConfig", "additionalModelRequestFields")
CONVERSE = Format(
    name="Bedrock Converse",
    needs=frozenset({"messages"}),
    allows=frozenset({*_CONVERSE, "additionalModelResponseFieldPaths"}),
    words=_of_converse,
)
CONVERSE_WITH_RESULT = replace(CONVERSE, needs=frozenset({"messages", "toolConfig"}), words=_result_in_converse)
INVOKE_MODEL = Format(
    name="Bedrock InvokeModel",
    needs=frozenset({"anthropic_version", "max_tokens", "messages"}),
    words=_of_messages,
)
GEMINI = Format(
    name="Vertex generateContent",
    needs=frozenset({"contents"}),
    allows=frozenset({"systemInstruction", "generationConfig", "tools", "toolConfig"}),
    words=_of_gemini,
)
OPENAI_CHAT = Format(
    name="OpenAI chat",
    needs=frozenset({"model", "messages"}),
    allows=frozenset({"max_tokens", "max_completion_tokens", "stream", "stream_options"}),
    words=_of_messages,
)
