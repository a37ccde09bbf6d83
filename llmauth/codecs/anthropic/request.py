"""A neutral request as the body of Anthropic's Messages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from llmauth.chat.messages import (
    ChatRequest,
    Choose,
    JsonObject,
    JsonSchema,
    Message,
    Named,
    Text,
    Tool,
)
from llmauth.chat.turns import folded, leading, merged
from llmauth.chat.words import Word
from llmauth.codecs.anthropic import answer_tool
from llmauth.codecs.anthropic.blocks import blocks_of, cached, said
from llmauth.codecs.claude_models import ClaudeTraits, sampling_rules, thinking_fields, thinks, thoughtless_loop
from llmauth.codecs.mapping import Admitted, Dropped, Ignored, Rule, Sent, Table, admit, apply
from llmauth.errors import BadRequest

_IN_JSON = Text("Answer with one JSON object and nothing else: no explanation, and no code fence around it.")
_SYSTEM = ("system", "developer")


def render(
    request: ChatRequest, model: str, traits: ClaudeTraits, table: Table, *, provider: str, strict: bool
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The body without what depends on the host, and the client's names of what is left out."""
    limit = request.parameters.get(Word.MAX_TOKENS, traits.default_max_tokens)
    thinking = _thinking(request, traits, limit)
    judged = {**table, **_exceptions(request, table, traits, thinking)}
    admitted = admit(request, judged, provider=provider, strict=strict)
    system, rest = leading(request.messages)
    body: dict[str, Any] = {"model": model, "max_tokens": limit, "messages": _messages(rest, traits)}
    if texts := blocks_of((*system, *_asking_for_json(request))):
        body["system"] = texts
    _put_tools(body, request, admitted)
    if Word.REASONING in admitted.features:
        body.update(thinking)
    _put_schema(body, request, traits)
    apply(body, admitted, judged)
    return body, admitted.dropped


def _thinking(request: ChatRequest, traits: ClaudeTraits, limit: int) -> dict[str, Any]:
    """How thinking is asked for, or nothing where it cannot be.

    "Thinking is not compatible with forced tool use." And a model of the older form, asked for it in the middle of a
    loop of calls whose thinking did not come back, refuses: "must start with a thinking block".
    """
    if _forced(request, traits) or (not traits.adaptive and thoughtless_loop(request.messages)):
        return thinking_fields(request.reasoning, traits, limit) if _unwanted(request) else {}
    return thinking_fields(request.reasoning, traits, limit)


def _unwanted(request: ChatRequest) -> bool:
    return request.reasoning is not None and request.reasoning.effort == "none"


def _forced(request: ChatRequest, traits: ClaudeTraits) -> bool:
    by_schema = isinstance(request.output, JsonSchema) and not traits.structured
    return by_schema or request.tool_choice is Choose.REQUIRED or isinstance(request.tool_choice, Named)


def _exceptions(request: ChatRequest, table: Table, traits: ClaudeTraits, thinking: dict[str, Any]) -> dict[Word, Rule]:
    """Rules that depend on what else is asked."""
    rules = sampling_rules(request.parameters, traits, thinking=thinks(thinking))
    if not request.tools or request.tool_choice is Choose.NONE:
        rules[Word.PARALLEL_TOOL_CALLS] = Ignored()
    if not thinking and _unwanted(request):
        rules[Word.REASONING] = Ignored()
    elif not thinking and isinstance(table[Word.REASONING], Sent):
        rules[Word.REASONING] = Dropped("not with a forced tool, and not with so low a limit of tokens")
    return rules


def _messages(messages: Sequence[Message], traits: ClaudeTraits) -> list[dict[str, Any]]:
    spoken = [replace(message, parts=tuple(filter(said, message.parts))) for message in messages]
    turns = merged(_systems_placed([message for message in spoken if message.parts], traits))
    return [{"role": _role(turn), "content": blocks_of(turn.parts)} for turn in turns]


def _role(turn: Message) -> str:
    return "system" if turn.role in _SYSTEM else turn.role


def _systems_placed(messages: list[Message], traits: ClaudeTraits) -> list[Message]:
    """System messages stay where the model takes them: behind a user's turn, and before one of the model's or last."""
    placed: list[Message] = []
    for number, message in enumerate(messages):
        if message.role in _SYSTEM and not (traits.later_system and _takes_system(messages, number)):
            placed.extend(folded([message]))
        else:
            placed.append(message)
    return placed


def _takes_system(messages: list[Message], number: int) -> bool:
    before = messages[number - 1].role if number else ""
    after = messages[number + 1].role if number + 1 < len(messages) else "assistant"
    return before in ("user", "tool") and after == "assistant"


def _asking_for_json(request: ChatRequest) -> tuple[Text, ...]:
    return (_IN_JSON,) if isinstance(request.output, JsonObject) else ()


def _put_tools(body: dict[str, Any], request: ChatRequest, admitted: Admitted) -> None:
    if request.tools:
        body["tools"] = [_tool(tool, admitted) for tool in request.tools]
        if (choice := _choice(request)) is not None:
            body["tool_choice"] = choice


def _tool(tool: Tool, admitted: Admitted) -> dict[str, Any]:
    schema = tool.schema if "type" in tool.schema else {"type": "object", **tool.schema}
    body: dict[str, Any] = {"name": tool.name, "input_schema": schema}
    if tool.description:
        body["description"] = tool.description
    if tool.strict is not None and (Word.STRICT_TOOLS in admitted.features or not tool.strict):
        body["strict"] = tool.strict
    return cached(body, tool.cache)


def _choice(request: ChatRequest) -> dict[str, Any] | None:
    choice = request.tool_choice
    if isinstance(choice, Named):
        return {"type": "tool", "name": choice.name}
    if choice is Choose.REQUIRED:
        return {"type": "any"}
    if choice is Choose.NONE:
        return {"type": "none"}
    wanted = choice is Choose.AUTO or Word.PARALLEL_TOOL_CALLS in request.parameters
    return {"type": "auto"} if wanted else None


def _put_schema(body: dict[str, Any], request: ChatRequest, traits: ClaudeTraits) -> None:
    if not isinstance(request.output, JsonSchema):
        return
    if traits.structured:
        body.setdefault("output_config", {})["format"] = {"type": "json_schema", "schema": request.output.schema}
        return
    others = bool(request.tools) and request.tool_choice is not Choose.NONE
    body.setdefault("tools", []).append(answer_tool.tool(request.output))
    body["tool_choice"] = answer_tool.choice(others)


def encoded(body: dict[str, Any]) -> bytes:
    """The body as it is sent. BadRequest for a number that JSON can write and nobody can read, such as `1e999`."""
    try:
        return json.dumps(body, separators=(",", ":"), allow_nan=False).encode("ascii")
    except ValueError:
        raise BadRequest("A number in the request is beyond every limit.", code="invalid_request") from None
