"""The neutral request as a body of Converse; the model is in the path and not here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from llmauth.chat.messages import ChatRequest, Choose, JsonObject, JsonSchema, Message, Text
from llmauth.chat.turns import folded, leading, merged
from llmauth.chat.words import Word
from llmauth.codecs.claude_models import sampling_rules, thinks
from llmauth.codecs.converse.content import Block, Blocks, says_something
from llmauth.codecs.converse.families import Family, Kind
from llmauth.codecs.converse.metadata import MOST
from llmauth.codecs.converse.reasoning import has_budget, reasoning_fields
from llmauth.codecs.converse.table import table_for
from llmauth.codecs.converse.tools import Toolbox, forced, toolbox
from llmauth.codecs.mapping import Admitted, Dropped, Ignored, Rule, Sent, admit, apply, place
from llmauth.errors import BadRequest

PROVIDER = "Bedrock"
JSON_ONLY = Text("Answer with one JSON object and nothing else: no words before or after it, no code fence around it.")
# There is no `none` in Converse, and a history with tool calls is refused without the tools.
NO_CALLS = Text("Answer in words. Do not call any tool.")
# "If the JSON Pointer is valid, but the requested field is not in the model response, it is ignored by Converse."
_CLAUDE_PATHS = ["/stop_sequence", "/usage/output_tokens_details"]


def write(request: ChatRequest, family: Family, *, strict: bool) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The body, and the client's names of what is left out of it.

    UnsupportedParameter for what must not be left out; BadRequest for a chat that Bedrock cannot begin with.
    """
    thinking = reasoning_fields(request, family, forced=forced(request, family))
    table = {**table_for(family), **_exceptions(request, family, thinking)}
    admitted = admit(request, table, provider=PROVIDER, strict=strict)
    blocks = Blocks(family, admitted.features)
    tools = toolbox(request, family, admitted.features, blocks)
    body = _conversation(request, family, blocks, tools)
    apply(body, _in_order(admitted), table)
    _put_tools(body, tools)
    _put_schema(body, request, family)
    _put_thinking(body, thinking, family)
    if family.kind is Kind.CLAUDE:
        body["additionalModelResponseFieldPaths"] = _CLAUDE_PATHS
    return body, admitted.dropped


def _exceptions(request: ChatRequest, family: Family, thinking: Mapping[str, Any]) -> dict[Word, Rule]:
    """Rules that depend on what else is asked."""
    said = request.parameters
    rules: dict[Word, Rule] = {}
    if not request.tools or request.tool_choice is Choose.NONE:
        rules[Word.PARALLEL_TOOL_CALLS] = Ignored()
    if len(said.get(Word.METADATA, ())) + (Word.USER in said) > MOST:
        rules[Word.METADATA] = Dropped(f"AWS takes {MOST} pairs")
    if not thinking and isinstance(table_for(family)[Word.REASONING], Sent):
        rules[Word.REASONING] = Dropped("not with a forced tool, so low a limit, or calls without their thinking")
    if family.traits is not None:
        rules |= sampling_rules(said, family.traits, thinking=thinks(thinking))
    return rules


def _in_order(admitted: Admitted) -> Admitted:
    """The user is put among the other pairs, so they come first; calls one at a time belong to the choice of tools."""
    ordered = sorted(admitted.parameters, key=lambda word: word is not Word.METADATA)
    kept: dict[Word, Any] = {
        word: admitted.parameters[word] for word in ordered if word is not Word.PARALLEL_TOOL_CALLS
    }
    if not kept.get(Word.METADATA, True):
        del kept[Word.METADATA]
    return replace(admitted, parameters=kept)


def _conversation(request: ChatRequest, family: Family, blocks: Blocks, tools: Toolbox) -> dict[str, Any]:
    system, rest = leading(_spoken(request.messages, family))
    turns = merged(folded(rest))
    if not turns or turns[0].role != "user":
        raise BadRequest(
            "Bedrock wants a conversation to start with a message of the user, and this one does not.",
            hint="Put a user message before the others.",
            code="invalid_request",
            param="messages",
        )
    body: dict[str, Any] = {"messages": [_turn(turn, blocks) for turn in turns]}
    texts = (*system, *((JSON_ONLY,) if isinstance(request.output, JsonObject) else ()))
    if told := [block for text in (*texts, *((NO_CALLS,) if tools.quiet else ())) for block in blocks.of(text)]:
        body["system"] = told
    return body


def _spoken(messages: Sequence[Message], family: Family) -> list[Message]:
    """What says something to this family; a message of which nothing is left is none."""
    said = [
        replace(message, parts=tuple(part for part in message.parts if says_something(part, family)))
        for message in messages
    ]
    return [message for message in said if message.parts]


def _turn(turn: Message, blocks: Blocks) -> Block:
    return {"role": turn.role, "content": [block for part in turn.parts for block in blocks.of(part)]}


def _put_tools(body: dict[str, Any], tools: Toolbox) -> None:
    if tools.config is not None:
        body["toolConfig"] = tools.config
    if tools.claude is not None:
        place(body, "additionalModelRequestFields.tool_choice", tools.claude)


def _put_schema(body: dict[str, Any], request: ChatRequest, family: Family) -> None:
    """The schema is JSON in a string."""
    output = request.output
    if not isinstance(output, JsonSchema) or family.schema_by_tool:
        return
    schema = {"schema": json.dumps(output.schema, separators=(",", ":")), "name": output.name or "answer"}
    if output.description:
        schema["description"] = output.description
    place(body, "outputConfig.textFormat", {"type": "json_schema", "structure": {"jsonSchema": schema}})


def _put_thinking(body: dict[str, Any], thinking: Mapping[str, Any], family: Family) -> None:
    for name, value in thinking.items():
        place(body, f"additionalModelRequestFields.{name}", value)
    if has_budget(thinking) and family.traits and "maxTokens" not in body.get("inferenceConfig", {}):
        place(body, "inferenceConfig.maxTokens", family.traits.default_max_tokens)
