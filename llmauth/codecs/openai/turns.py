"""A client's messages, read into neutral ones: who said what, with the calls of tools and what they gave."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from llmauth.chat import signatures
from llmauth.chat.messages import (
    Document,
    Image,
    Message,
    Part,
    Redacted,
    Refusal,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from llmauth.codecs.openai.answers import call_signature
from llmauth.codecs.openai.content import cache_of, result_parts, texts, texts_and_refusals, user_parts
from llmauth.codecs.reading import Node
from llmauth.errors import UnsupportedParameter


def parse_messages(nodes: Iterable[Node]) -> tuple[Message, ...]:
    """All messages; results of tools that follow each other become one."""
    reader = _Reader()
    for node in nodes:
        reader.take(node)
    return reader.end()


class _Reader:
    """The messages so far, and the calls in the words of 2023, whose results name their function and no id."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._results: list[ToolResult] = []  # those that followed the last message
        self._taken = 0
        self._old_calls: dict[str, str] = {}
        self._roles: Mapping[str, Callable[[Node], None]] = {
            "system": self._instruction,
            "developer": self._instruction,
            "user": self._user,
            "assistant": self._assistant,
            "tool": self._tool,
            "function": self._function,
        }

    def take(self, node: Node) -> None:
        role = node.need("role").one_of(*self._roles)
        self._roles[role](node)
        self._taken += 1

    def end(self) -> tuple[Message, ...]:
        self._gather()
        return tuple(self._messages)

    def _gather(self) -> None:
        if self._results:
            self._messages.append(Message("tool", tuple(self._results)))
            self._results = []

    def _add(self, node: Node, role: Role, parts: tuple[Part, ...]) -> None:
        self._gather()
        self._messages.append(Message(role, _cached(node, parts), node.text_of("name") or None))

    def _instruction(self, node: Node) -> None:
        self._add(node, node.value["role"], texts(node.need("content")))

    def _user(self, node: Node) -> None:
        self._add(node, "user", user_parts(node.need("content")))

    def _assistant(self, node: Node) -> None:
        if node.get("audio") is not None:
            raise UnsupportedParameter(
                "A spoken answer that OpenAI keeps ('audio') cannot be heard by another provider.",
                hint="Send its transcript as the content.",
                param=f"{node.place}.audio",
            )
        calls = [*(_call(call) for call in node.list_of("tool_calls")), *self._old_call(node)]
        self._add(node, "assistant", (*_thinking(node), *_said(node), *calls))

    def _old_call(self, node: Node) -> list[ToolCall]:
        call = node.get("function_call")
        if call is None:
            return []
        name = call.need("name").text()
        identity = f"call_function_{self._taken}"
        self._old_calls[name] = identity
        return [ToolCall(identity, name, call.text_of("arguments"))]

    def _tool(self, node: Node) -> None:
        self._result(node, node.need("tool_call_id").text())

    def _function(self, node: Node) -> None:
        name = node.need("name")
        identity = self._old_calls.get(name.text())
        if identity is None:
            name.fail("is no function that was called before")
        self._result(node, identity)

    def _result(self, node: Node, identity: str) -> None:
        content = node.get("content") if node.value["role"] == "function" else node.need("content")
        parts = () if content is None else result_parts(content)
        self._results.append(ToolResult(identity, parts, cache=cache_of(node)))


def _cached(node: Node, parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """A mark on the message counts for its last part."""
    cache = cache_of(node)
    last = parts[-1] if parts else None
    if cache is None or not isinstance(last, Text | Image | Document | ToolCall):
        return parts
    return (*parts[:-1], replace(last, cache=cache))


def _said(node: Node) -> list[Text | Refusal]:
    content, refusal = node.get("content"), node.text_of("refusal")
    said = [] if content is None else list(texts_and_refusals(content))
    return [*said, Refusal(refusal)] if refusal else said


def _thinking(node: Node) -> list[Thinking | Redacted]:
    """The extensions that our own answers carry; blocks keep what the plain text would lose."""
    blocks = [_block(block) for block in node.list_of("thinking_blocks")]
    if blocks:
        return blocks
    thought = node.text_of("reasoning_content")
    return [Thinking(thought)] if thought else []


def _block(block: Node) -> Thinking | Redacted:
    if block.need("type").one_of("thinking", "redacted_thinking") == "redacted_thinking":
        return Redacted(signatures.read(block.need("data").text(), "openai"))
    signature = block.text_of("signature")
    return Thinking(block.text_of("thinking"), signatures.read(signature, "openai") if signature else None)


def _call(node: Node) -> ToolCall:
    kind = node.text_of("type", "function")
    if kind != "function":
        raise UnsupportedParameter(
            f"A tool call of the type '{kind[:50]}' cannot be sent to another provider than OpenAI.",
            hint="Use functions, or call the provider in transparent mode.",
            param=f"{node.place}.type",
        )
    function = node.need("function")
    signed = call_signature(node.object(), "gemini")
    return ToolCall(
        node.need("id").text(),
        function.need("name").text(),
        function.text_of("arguments"),
        None if signed is None else signatures.read(signed.value, "gemini"),
        cache_of(node),
    )
