"""Content blocks as clients send them, read as neutral parts; what we have no word for is refused by its name."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping

from llmauth.chat.messages import (
    Cache,
    Data,
    Document,
    Image,
    Link,
    Part,
    Redacted,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from llmauth.chat.signatures import read
from llmauth.codecs.arguments import from_input
from llmauth.codecs.reading import Node
from llmauth.errors import UnsupportedParameter

SYSTEM = ("text",)
USER = ("text", "image", "document", "tool_result")
ASSISTANT = ("text", "thinking", "redacted_thinking", "tool_use")
_RESULT = ("text", "image", "document")


def parts_of(content: Node, allowed: tuple[str, ...]) -> list[Part]:
    """A content: a string is one text; blocks may be of the allowed types."""
    if isinstance(content.value, str):
        return [Text(content.value)]
    return [_part(block, allowed) for block in content.items()]


def cache_of(block: Node) -> Cache | None:
    """The breakpoint that stands on a block, a tool or a result."""
    control = block.get("cache_control")
    if control is None:
        return None
    control.need("type").one_of("ephemeral")
    return Cache(control.text_of("ttl") or None)


def unsupported(node: Node, what: str) -> UnsupportedParameter:
    """What is legal in Messages, and cannot be said to the providers that may answer."""
    return UnsupportedParameter(
        f"{what} is not supported here.",
        hint="Leave it out, or call the provider's native API in transparent mode.",
        param=node.place,
    )


def _part(block: Node, allowed: tuple[str, ...]) -> Part:
    kind = block.need("type")
    name = kind.text()
    if name not in allowed:
        raise unsupported(kind, f"Content of type '{name[:50]}' in this place")
    return _PARSERS[name](block)


def _text(block: Node) -> Text:
    # Citations of an earlier answer say nothing that the text does not.
    return Text(block.need("text").text(), cache_of(block))


def _image(block: Node) -> Image:
    return Image(_source(block.need("source")), cache=cache_of(block))


def _document(block: Node) -> Document:
    citations = block.get("citations")
    if citations is not None and (enabled := citations.get("enabled")) is not None and enabled.flag():
        raise unsupported(enabled, "Citing a document")
    if (context := block.get("context")) is not None:
        raise unsupported(context, "A document's 'context'")
    return Document(_document_source(block.need("source")), block.text_of("title") or None, cache_of(block))


def _document_source(source: Node) -> Data | Link:
    if source.need("type").text() == "text":
        return Data("text/plain", _base64(source.need("data")))
    found = _source(source)
    # A document by URL is a PDF: Anthropic has no other.
    return Link(found.url, "application/pdf") if isinstance(found, Link) else found


def _source(source: Node) -> Data | Link:
    kind = source.need("type")
    name = kind.text()
    if name == "base64":
        return Data(source.need("media_type").text(), source.need("data").text())
    if name == "url":
        return Link(source.need("url").text())
    raise unsupported(kind, f"A source of type '{name[:50]}'")


def _base64(text: Node) -> str:
    try:
        return b64encode(text.text().encode("utf-8")).decode("ascii")
    except UnicodeEncodeError:
        text.fail("half of a surrogate pair")


def _tool_use(block: Node) -> ToolCall:
    arguments = from_input(block.need("input").object())
    return ToolCall(block.need("id").text(), block.need("name").text(), arguments, cache=cache_of(block))


def _tool_result(block: Node) -> ToolResult:
    content = block.get("content")
    parts = [] if content is None else parts_of(content, _RESULT)
    error = block.get("is_error")
    return ToolResult(
        block.need("tool_use_id").text(),
        tuple(part for part in parts if isinstance(part, Text | Image | Document)),
        error is not None and error.flag(),
        cache_of(block),
    )


def _thinking(block: Node) -> Thinking:
    signature = block.text_of("signature")
    return Thinking(block.need("thinking").text(), read(signature, "anthropic") if signature else None)


def _redacted(block: Node) -> Redacted:
    return Redacted(read(block.need("data").text(), "anthropic"))


_PARSERS: Mapping[str, Callable[[Node], Part]] = {
    "text": _text,
    "image": _image,
    "document": _document,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
}
