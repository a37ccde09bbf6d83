"""The items of `input`, as a Responses client writes them, to the turns of a conversation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

from llmauth.chat.messages import Document, Image, Message, Part, Role, Text, ToolCall, ToolResult
from llmauth.chat.turns import joined
from llmauth.codecs.reading import Node
from llmauth.codecs.responses import contents
from llmauth.codecs.responses.sealing import unsealed

_CONTENTS = {
    "user": contents.OF_USER,
    "system": contents.OF_SYSTEM,
    "developer": contents.OF_SYSTEM,
    "assistant": contents.OF_ASSISTANT,
}
# What the model says comes as one item after another, and so do results: here each is one turn.
_GATHERED: tuple[Role, ...] = ("assistant", "tool")


def turns(value: Node) -> tuple[Message, ...]:
    """`input` as messages; an item that says nothing makes none. UnsupportedParameter for an item of another type."""
    if isinstance(value.value, str):
        return (Message("user", (Text(value.value),)),)
    said: list[Message] = []
    for item in value.items():
        message = _ITEMS[_kind(item)](item)
        if message.parts:
            said.append(message)
    if not said:
        value.fail("must hold at least one item that says something")
    return tuple(joined(said, *_GATHERED))


def _kind(item: Node) -> str:
    kind = item.get("type")
    if kind is None:
        item.need("role")
        return "message"
    if kind.text() == "item_reference":
        contents.refused(kind, "'item_reference' names an item that only OpenAI keeps.", "Send the item itself.")
    if kind.text() not in _ITEMS:
        contents.refused(
            kind,
            f"Input items of type '{kind.text()[:50]}' are not supported: they belong to tools that OpenAI runs.",
            "Leave the item out, or call the provider's native API in transparent mode.",
        )
    return kind.text()


def _message(item: Node) -> Message:
    role = item.need("role").one_of(*_CONTENTS)
    return Message(cast(Role, role), contents.parts(item.need("content"), _CONTENTS[role]))


def _reasoning(item: Node) -> Message:
    encrypted = item.get("encrypted_content")
    text = _texts(item, "content", "reasoning_text") or _texts(item, "summary", "summary_text")
    part = unsealed(text, None if encrypted is None else encrypted.text())
    return Message("assistant", () if part is None else (part,))


def _texts(item: Node, member: str, kind: str) -> str:
    found = []
    for part in item.list_of(member):
        part.need("type").one_of(kind)
        found.append(part.need("text").text())
    return "\n\n".join(found)


def _call(item: Node) -> Message:
    call = ToolCall(_filled(item, "call_id"), _filled(item, "name"), item.need("arguments").text())
    return Message("assistant", (call,))


def _result(item: Node) -> Message:
    found: tuple[Part, ...] = contents.parts(item.need("output"), contents.OF_RESULT)
    content = tuple(part for part in found if isinstance(part, Text | Image | Document))
    return Message("tool", (ToolResult(_filled(item, "call_id"), content),))


def _filled(item: Node, name: str) -> str:
    member = item.need(name)
    if not member.text():
        member.fail("must not be empty")
    return member.text()


_ITEMS: Mapping[str, Callable[[Node], Message]] = {
    "message": _message,
    "reasoning": _reasoning,
    "function_call": _call,
    "function_call_output": _result,
}
