"""Tools and the choice among them, between Converse's own members and Claude's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from llmauth.chat.messages import ChatRequest, Choose, JsonSchema, Named, Tool, ToolCall, ToolResult
from llmauth.chat.words import Word
from llmauth.codecs.converse.content import Block, Blocks
from llmauth.codecs.converse.families import Family, Kind
from llmauth.codecs.converse.names import ANSWER, ToolNames
from llmauth.codecs.converse.schemas import for_nova


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolbox:
    """What a request says of tools.

    `config` is `toolConfig`; `claude` is what Claude is told beside it; `quiet` that no tool may be called, and that
    only words can say so.
    """

    config: Block | None = None
    claude: Block | None = None
    quiet: bool = False


def forced(request: ChatRequest, family: Family) -> bool:
    """Whether the model must call a tool; a schema that is had by one forces it too."""
    chosen = request.tool_choice is Choose.REQUIRED or isinstance(request.tool_choice, Named)
    return (chosen and bool(request.tools)) or _by_tool(request, family)


def _by_tool(request: ChatRequest, family: Family) -> bool:
    return isinstance(request.output, JsonSchema) and family.schema_by_tool


def toolbox(request: ChatRequest, family: Family, features: frozenset[Word], blocks: Blocks) -> Toolbox:
    """The tools that are sent; those of earlier turns where the client does not name them any more."""
    none = request.tool_choice is Choose.NONE or not request.tools
    offered = request.tools if not none or any(_talk(request)) else ()
    told = offered or tuple(_of_history(request))
    if isinstance(request.output, JsonSchema) and family.schema_by_tool:
        told = (*told, _answer(request.output))
    if not told:
        return Toolbox()
    config: Block = {"tools": list(_tools(told, family, features, blocks))}
    if _by_tool(request, family):
        choice: Block = {"tool": {"name": ANSWER}} if none else {"any": {}}
        return _told(config, choice, Word.PARALLEL_TOOL_CALLS in features)
    if none:
        claude = family.kind is Kind.CLAUDE
        return Toolbox(config=config, claude={"type": "none"} if claude else None, quiet=not claude)
    return _told(config, _choice(request), Word.PARALLEL_TOOL_CALLS in features)


def _answer(output: JsonSchema) -> Tool:
    return Tool(ANSWER, output.description or "Gives the answer. Call it with the answer as its input.", output.schema)


def _told(config: Block, choice: Block | None, one_at_a_time: bool) -> Toolbox:
    """Claude is told to call one tool at a time in its own words.

    "The additional field tool_choice/type conflicts with the existing field toolConfig.toolChoice.tool", so the type is
    told here or there, and never in both.
    """
    if one_at_a_time and (choice is None or "auto" in choice):
        return Toolbox(config=config, claude={"type": "auto", "disable_parallel_tool_use": True})
    if choice is not None:
        config = {**config, "toolChoice": choice}
    return Toolbox(config=config, claude={"disable_parallel_tool_use": True} if one_at_a_time else None)


def _choice(request: ChatRequest) -> Block | None:
    match request.tool_choice:
        case Named(name=name):
            return {"tool": {"name": ToolNames.sent(name)}}
        case Choose.REQUIRED:
            return {"any": {}}
        case Choose.AUTO:
            return {"auto": {}}
        case _:
            return None


def _tools(tools: tuple[Tool, ...], family: Family, features: frozenset[Word], blocks: Blocks) -> Iterator[Block]:
    for tool in tools:
        strict = tool.strict if Word.STRICT_TOOLS in features else None
        yield _spec(replace(tool, strict=strict), family)
        if family.caches_tools:
            yield from blocks.cache_point(tool.cache)


def _spec(tool: Tool, family: Family) -> Block:
    """A description must not be empty, and a schema must say that it is of an object."""
    spec: dict[str, Any] = {"name": ToolNames.sent(tool.name)}
    if tool.description.strip():
        spec["description"] = tool.description
    schema = for_nova(tool.schema) if family.kind in (Kind.NOVA, Kind.NOVA_2) else dict(tool.schema)
    spec["inputSchema"] = {"json": schema if schema.get("type") else {"type": "object", **schema}}
    if tool.strict:
        spec["strict"] = True
    return {"toolSpec": spec}


def _talk(request: ChatRequest) -> Iterator[ToolCall | ToolResult]:
    for message in request.messages:
        yield from (part for part in message.parts if isinstance(part, ToolCall | ToolResult))


def _of_history(request: ChatRequest) -> Iterator[Tool]:
    names = dict.fromkeys(part.name for part in _talk(request) if isinstance(part, ToolCall))
    return (Tool(name) for name in names)


def names_of(request: ChatRequest) -> ToolNames:
    """Every name of a tool in a request, so that an answer can be told in them."""
    return ToolNames(tool.name for tool in (*request.tools, *_of_history(request)))
