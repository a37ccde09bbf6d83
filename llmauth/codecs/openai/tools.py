"""A client's tools, its choice among them and the format that it wants, read into neutral ones."""

from __future__ import annotations

from dataclasses import replace

from llmauth.chat.messages import Choose, JsonObject, JsonSchema, Named, Tool
from llmauth.codecs.openai.content import cache_of
from llmauth.codecs.reading import Node
from llmauth.errors import UnsupportedParameter

Choice = Choose | Named | None


def parse_tools(body: Node) -> tuple[tuple[Tool, ...], Choice]:
    """`tools` and `tool_choice`, or in the words of 2023 `functions` and `function_call`."""
    if (old := body.get("functions")) is not None:
        if body.get("tools") is not None:
            old.fail("is the old name of tools, and both are there")
        tools = tuple(_function(function) for function in old.items())
        return _fitting(tools, body.get("function_call"))
    tools = tuple(_tool(tool) for tool in body.list_of("tools"))
    return _fitting(tools, body.get("tool_choice"))


def parse_output(body: Node) -> JsonObject | JsonSchema | None:
    """`response_format`; text is what comes unasked."""
    wanted = body.get("response_format")
    kind = "text" if wanted is None else wanted.need("type").one_of("text", "json_object", "json_schema")
    if wanted is None or kind == "text":
        return None
    if kind == "json_object":
        return JsonObject()
    told = wanted.need("json_schema")
    schema, strict = told.get("schema"), told.get("strict")
    return JsonSchema(
        {} if schema is None else schema.object(),
        told.need("name").text(),
        told.text_of("description"),
        None if strict is None else strict.flag(),
    )


def _tool(node: Node) -> Tool:
    kind = node.need("type").text()
    if kind != "function":
        raise UnsupportedParameter(
            f"A tool of the type '{kind[:50]}' is known to OpenAI alone.",
            hint="Declare a function, or call the provider in transparent mode.",
            param=f"{node.place}.type",
        )
    function = node.need("function")
    tool = _function(function)
    return tool if tool.cache is not None else replace(tool, cache=cache_of(node))


def _function(node: Node) -> Tool:
    name = node.need("name")
    if not name.text():
        name.fail("is empty")
    parameters, strict = node.get("parameters"), node.get("strict")
    return Tool(
        name.text(),
        node.text_of("description"),
        {} if parameters is None else parameters.object(),
        None if strict is None else strict.flag(),
        cache_of(node),
    )


def _fitting(tools: tuple[Tool, ...], node: Node | None) -> tuple[tuple[Tool, ...], Choice]:
    """The tools that may be called, and the choice among them; without tools there is nothing to choose."""
    if node is None:
        return tools, None
    names = frozenset(tool.name for tool in tools)
    choice = _allowed(node, tools, names)
    if choice is not None:
        return choice
    single = _choice(node)
    if not tools:
        if single in (Choose.AUTO, Choose.NONE):
            return tools, None
        node.fail("asks for a tool, and there are none")
    if isinstance(single, Named):
        _known(node, single.name, names)
    return tools, single


def _choice(node: Node) -> Choose | Named:
    if isinstance(node.value, str):
        return Choose(node.one_of("none", "auto", "required"))
    kind = node.text_of("type")
    if kind == "function":
        return Named(node.need("function").need("name").text())
    if not kind:  # in the words of 2023
        return Named(node.need("name").text())
    node.need("type").fail(f"'{kind[:50]}' is none of function, allowed_tools")


def _allowed(node: Node, tools: tuple[Tool, ...], names: frozenset[str]) -> tuple[tuple[Tool, ...], Choose] | None:
    """Only those tools are offered that the choice allows: no other provider can be told of more."""
    if not isinstance(node.value, dict) or node.value.get("type") != "allowed_tools":
        return None
    allowed = node.need("allowed_tools")
    mode = Choose(allowed.need("mode").one_of("auto", "required"))
    chosen = {_known(tool, _choice_name(tool), names) for tool in allowed.need("tools").items()}
    if not chosen:
        allowed.fail("allows no tool")
    return tuple(tool for tool in tools if tool.name in chosen), mode


def _choice_name(node: Node) -> str:
    node.need("type").one_of("function")
    return node.need("function").need("name").text()


def _known(node: Node, name: str, names: frozenset[str]) -> str:
    if name not in names:
        node.fail(f"names the tool '{name[:64]}', which is not among the tools")
    return name
