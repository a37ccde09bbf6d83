"""A Messages request of a client, read into the neutral form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from llmauth.chat.messages import (
    ChatRequest,
    Choose,
    JsonSchema,
    Message,
    Named,
    Part,
    Reasoning,
    Role,
    Tool,
    ToolResult,
)
from llmauth.chat.turns import joined
from llmauth.chat.words import Word
from llmauth.codecs.anthropic import parts
from llmauth.codecs.anthropic.exact import exact
from llmauth.codecs.anthropic.marks import attached
from llmauth.codecs.anthropic.threads import refuse_thread
from llmauth.codecs.reading import Malformed, Node, parse, tellable
from llmauth.errors import BadRequest, UnsupportedParameter

# What becomes of each member of the body; every other member is left out, and the client is told.
MEMBERS: Mapping[str, str] = {
    "model": "the model",
    "max_tokens": "parameter max_tokens; required, except where tokens are counted",
    "messages": "the messages; tool results of a user's turn are messages of role tool",
    "system": "a system message before all others",
    "stop_sequences": "parameter stop",
    "temperature": "parameter temperature, 0 to 1",
    "top_p": "parameter top_p",
    "top_k": "parameter top_k",
    "metadata": "`user_id`: parameter user",
    "service_tier": "`standard_only`: parameter service_tier `default`; `auto` is what is meant unsaid",
    "stream": "whether the answer is a stream",
    "tools": "the tools; those that Anthropic runs itself are refused",
    "tool_choice": "the tool choice, and parameter parallel_tool_calls",
    "thinking": "reasoning",
    "output_config": "`effort`: reasoning; `format`: the answer's schema",
    "inference_geo": "refused, except `global`: it says where the model may run",
    "thread": "refused: it stands for messages that Anthropic keeps",
}
SPELLING: Mapping[Word, str] = {
    Word.STOP: "stop_sequences",
    Word.USER: "metadata.user_id",
    Word.PARALLEL_TOOL_CALLS: "tool_choice.disable_parallel_tool_use",
    Word.SYSTEM_LATER: "messages.role system",
    Word.STRICT_TOOLS: "tools.strict",
    Word.TOOL_CHOICE_NONE: "tool_choice none",
    Word.TOOL_CHOICE_REQUIRED: "tool_choice any",
    Word.TOOL_CHOICE_NAMED: "tool_choice tool",
    Word.TOOL_ERROR: "tool_result.is_error",
    Word.TOOL_RESULT_IMAGE: "image in tool_result",
    Word.JSON_SCHEMA: "output_config.format",
    Word.REASONING: "thinking",
}
# Who asks for an effort alone has not said `thinking`.
_BY_EFFORT: Mapping[Word, str] = {**SPELLING, Word.REASONING: "output_config.effort"}
_TOOL = frozenset({"type", "name", "description", "input_schema", "strict", "cache_control"})
_OF_ROLE = {"system": parts.SYSTEM, "user": parts.USER, "assistant": parts.ASSISTANT}
_EFFORTS = ("low", "medium", "high", "xhigh", "max")
_CHOICES = {"auto": Choose.AUTO, "any": Choose.REQUIRED, "none": Choose.NONE}


def parse_request(body: bytes, *, counting: bool = False) -> ChatRequest:
    """The request; with `counting`, one of `count_tokens`, which has no `max_tokens`. BadRequest names the member."""
    try:
        return _request(Node(parse(body)), counting)
    except Malformed as fault:
        raise BadRequest(
            f"The body is not a Messages request: {fault}.", code="invalid_request", param=fault.place or None
        ) from None


def _request(top: Node, counting: bool) -> ChatRequest:
    refuse_thread(top.object().get("thread"))
    _refuse_geography(top)
    stream = top.get("stream")
    config = top.get("output_config")
    return ChatRequest(
        model=_model(top),
        messages=(*_system(top), *_messages(top)),
        tools=tuple(_tool(node) for node in top.list_of("tools")),
        tool_choice=_tool_choice(top),
        output=None if config is None else _output(config),
        reasoning=_reasoning(top, config),
        parameters=dict(_parameters(top, counting)),
        stream=stream is not None and stream.flag(),
        spelling=_spelling(top, config),
        unknown=tuple(map(tellable, _unknown(top))),
    )


def _refuse_geography(top: Node) -> None:
    """Where a prompt may go is no matter of taste: who says it is not answered elsewhere in silence."""
    where = top.get("inference_geo")
    if where is not None and where.text() != "global":
        raise UnsupportedParameter(
            "'inference_geo' is a promise of Anthropic's that no other provider gives.",
            hint="Leave it out, and ask for an instance in a region that may answer.",
            param="inference_geo",
        )


def _model(top: Node) -> str:
    model = top.need("model")
    return model.text() or model.fail("is empty")


def _unknown(top: Node) -> Iterator[str]:
    """Members that we have no word for, as paths."""
    yield from (name for name, value in top.object().items() if name not in MEMBERS and value is not None)
    for name, known in (("metadata", {"user_id"}), ("output_config", {"effort", "format"})):
        if (node := top.get(name)) is not None:
            yield from (f"{name}.{member}" for member in node.object() if member not in known)
    rest = [
        name for tool in top.list_of("tools") for name, value in tool.object().items() if value and name not in _TOOL
    ]
    yield from dict.fromkeys(f"tools.{name}" for name in rest)


def _parameters(top: Node, counting: bool) -> Iterator[tuple[Word, Any]]:
    limit = top.get("max_tokens") if counting else top.need("max_tokens")
    if limit is not None:
        yield Word.MAX_TOKENS, limit.integer(1)
    for word, most in ((Word.TEMPERATURE, 1.0), (Word.TOP_P, 1.0)):
        if (node := top.get(word.value)) is not None:
            yield word, node.number(0, most)
    if (top_k := top.get("top_k")) is not None:
        yield Word.TOP_K, top_k.integer(0)
    if stops := tuple(node.text() for node in top.list_of("stop_sequences")):
        yield Word.STOP, stops
    yield from _about(top)


def _about(top: Node) -> Iterator[tuple[Word, Any]]:
    metadata = top.get("metadata")
    if metadata is not None and (user := metadata.text_of("user_id")):
        yield Word.USER, user
    tier = top.get("service_tier")
    if tier is not None and tier.one_of("auto", "standard_only") == "standard_only":
        yield Word.SERVICE_TIER, "default"
    choice = top.get("tool_choice")
    if choice is not None and (single := choice.get("disable_parallel_tool_use")) is not None and single.flag():
        yield Word.PARALLEL_TOOL_CALLS, False


def _system(top: Node) -> Iterator[Message]:
    system = top.get("system")
    if system is not None and (texts := parts.parts_of(system, parts.SYSTEM)):
        yield Message("system", tuple(texts))


def _messages(top: Node) -> list[Message]:
    messages: list[Message] = []
    for node in top.need("messages").items():
        role = node.need("role").one_of("user", "assistant", "system")
        found = parts.parts_of(node.need("content"), _OF_ROLE[role])
        if role == "user":
            messages += _split(found)
        else:
            messages.append(Message("system" if role == "system" else "assistant", attached(found)))
    return joined(messages, "tool")


def _split(found: list[Part]) -> Iterator[Message]:
    """A user's turn as what tools gave and what the user said, in the order in which they came."""
    run: list[Part] = []
    for part in found:
        if run and isinstance(part, ToolResult) != isinstance(run[-1], ToolResult):
            yield _turn(run)
            run = []
        run.append(part)
    yield _turn(run)


def _turn(run: list[Part]) -> Message:
    role: Role = "tool" if run and isinstance(run[0], ToolResult) else "user"
    return Message(role, tuple(run))


def _tool(node: Node) -> Tool:
    kind = node.get("type")
    if kind is not None and kind.text() != "custom":
        raise parts.unsupported(kind, f"The tool '{kind.text()[:50]}', which Anthropic runs or defines itself,")
    strict = node.get("strict")
    return Tool(
        node.need("name").text(),
        node.text_of("description"),
        node.need("input_schema").object(),
        None if strict is None else strict.flag(),
        parts.cache_of(node),
    )


def _tool_choice(top: Node) -> Choose | Named | None:
    choice = top.get("tool_choice")
    if choice is None:
        return None
    kind = choice.need("type").one_of("auto", "any", "tool", "none")
    return Named(choice.need("name").text()) if kind == "tool" else _CHOICES[kind]


def _output(config: Node) -> JsonSchema | None:
    form = config.get("format")
    if form is None:
        return None
    form.need("type").one_of("json_schema")
    schema = form.need("schema").object()
    # An answer here always fits its schema; elsewhere that has to be asked for, and not every schema can be.
    return JsonSchema(schema, strict=True if exact(schema) else None)


def _reasoning(top: Node, config: Node | None) -> Reasoning | None:
    thinking = top.get("thinking")
    named = None if config is None else config.get("effort")
    effort = None if named is None else named.one_of(*_EFFORTS)
    if thinking is None:
        return None if effort is None else Reasoning(effort)
    kind = thinking.need("type").one_of("enabled", "disabled", "adaptive", "between_tools")
    if kind == "disabled":
        return Reasoning("none")
    budget = thinking.need("budget_tokens").integer(1) if kind == "enabled" else None
    return Reasoning(effort, budget, _shown(thinking))


def _spelling(top: Node, config: Node | None) -> Mapping[Word, str]:
    by_effort = config is not None and config.get("effort") is not None and top.get("thinking") is None
    return _BY_EFFORT if by_effort else SPELLING


def _shown(thinking: Node) -> bool | None:
    display = thinking.get("display")
    return None if display is None else display.one_of("summarized", "omitted") == "summarized"
