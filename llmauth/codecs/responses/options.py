"""What a Responses request asks beside its text: tools, the choice among them, the form of the answer, thinking."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from llmauth.chat.messages import Choose, JsonObject, JsonSchema, Named, Reasoning, Tool
from llmauth.codecs.reading import Node
from llmauth.codecs.responses.contents import refused

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_SUMMARIES = ("auto", "concise", "detailed")
_TOOL_MEMBERS = frozenset({"type", "name", "description", "parameters", "strict"})
_ELSEWHERE = "Leave it out, or call the provider's native API in transparent mode."


def tools(body: Node) -> tuple[Tool, ...]:
    """The functions; UnsupportedParameter for a tool that OpenAI itself would run."""
    return tuple(_tool(tool) for tool in body.list_of("tools"))


def _tool(tool: Node) -> Tool:
    kind = tool.need("type")
    if kind.text() != "function":
        refused(kind, f"Tools of type '{kind.text()[:50]}' are not supported: only functions are.", _ELSEWHERE)
    schema, strict = tool.get("parameters"), tool.get("strict")
    return Tool(
        _name(tool),
        tool.text_of("description"),
        {} if schema is None else schema.object(),
        None if strict is None else strict.flag(),
    )


def unknown(body: Node) -> Iterator[str]:
    """What `tools`, `reasoning` and `text` hold that we have no word for."""
    for tool in body.list_of("tools"):
        yield from _beside(tool, "tools", _TOOL_MEMBERS)
    for name, known in _LEVELS.items():
        level = body.get(name)
        if level is not None:
            yield from _beside(level, name, known)


_LEVELS = {
    "reasoning": frozenset({"effort", "summary", "generate_summary"}),
    "text": frozenset({"format", "verbosity"}),
}


def _beside(node: Node, place: str, known: frozenset[str]) -> Iterator[str]:
    return (f"{place}.{name}" for name, value in node.object().items() if name not in known and value is not None)


def _name(node: Node) -> str:
    name = node.need("name")
    if not name.text():
        name.fail("must not be empty")
    return name.text()


def chosen(body: Node, offered: tuple[Tool, ...]) -> tuple[Choose | Named | None, tuple[Tool, ...]]:
    """The choice, and the tools that it leaves: without tools there is nothing to choose."""
    choice = body.get("tool_choice")
    if choice is None:
        return None, offered
    if isinstance(choice.value, str):
        return _mode(choice, offered), offered
    kind = choice.need("type")
    if kind.text() == "function":
        return Named(_one_of(offered, choice)), offered
    if kind.text() == "allowed_tools":
        return _allowed(choice, offered)
    refused(kind, f"A tool_choice of type '{kind.text()[:50]}' is not supported.", _ELSEWHERE)


def _mode(choice: Node, offered: tuple[Tool, ...]) -> Choose | None:
    mode = Choose(choice.one_of("none", "auto", "required"))
    if mode is Choose.REQUIRED and not offered:
        choice.fail("'required' needs tools")
    return mode if offered else None


def _allowed(choice: Node, offered: tuple[Tool, ...]) -> tuple[Choose | None, tuple[Tool, ...]]:
    mode = choice.need("mode")
    mode.one_of("auto", "required")
    names = {_allowed_name(tool, offered) for tool in choice.need("tools").items()}
    left = tuple(tool for tool in offered if tool.name in names)
    return _mode(mode, left), left


def _allowed_name(tool: Node, offered: tuple[Tool, ...]) -> str:
    kind = tool.need("type")
    if kind.text() != "function":
        refused(kind, f"Tools of type '{kind.text()[:50]}' are not supported: only functions are.", _ELSEWHERE)
    return _one_of(offered, tool)


def _one_of(offered: Iterable[Tool], node: Node) -> str:
    name = _name(node)
    if all(tool.name != name for tool in offered):
        node.need("name").fail(f"no tool is called '{name[:50]}'")
    return name


def form(body: Node) -> JsonObject | JsonSchema | None:
    """`text.format`."""
    text = body.get("text")
    wanted = None if text is None else text.get("format")
    if wanted is None:
        return None
    kind = wanted.need("type").one_of("text", "json_object", "json_schema")
    if kind == "json_schema":
        return _schema(wanted)
    return JsonObject() if kind == "json_object" else None


def _schema(wanted: Node) -> JsonSchema:
    strict = wanted.get("strict")
    return JsonSchema(
        wanted.need("schema").object(),
        _name(wanted),
        wanted.text_of("description"),
        None if strict is None else strict.flag(),
    )


def verbosity(body: Node) -> str | None:
    """`text.verbosity`."""
    text = body.get("text")
    wanted = None if text is None else text.get("verbosity")
    return None if wanted is None else wanted.one_of("low", "medium", "high")


def reasoning(body: Node, *, encrypted: bool) -> Reasoning | None:
    """`reasoning`; who asks for its encrypted form beside it (`encrypted`) wants it in the answer too."""
    wanted = body.get("reasoning")
    if wanted is None:
        return None
    effort = wanted.get("effort")
    level = None if effort is None else effort.one_of(*EFFORTS)
    summaries = [wanted.get(name) for name in ("summary", "generate_summary")]
    shown = [summary.one_of(*_SUMMARIES) for summary in summaries if summary is not None]
    if level is None and not shown:
        return None
    return Reasoning(effort=level, shown=True if shown or encrypted else None)
