"""Neutral parts as the content blocks of a request to Anthropic; what it would refuse unread is left out."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from llmauth.chat.messages import (
    Audio,
    Cache,
    Data,
    Document,
    Image,
    Link,
    Part,
    Redacted,
    Refusal,
    Signature,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from llmauth.codecs.arguments import to_input
from llmauth.errors import BadRequest, UnsupportedParameter

Block = dict[str, Any]

_ID = re.compile(r"[a-zA-Z0-9_-]+")
_TTLS = ("5m", "1h")
_PDF = "application/pdf"


def blocks_of(parts: Iterable[Part]) -> list[Block]:
    """The blocks of one turn. BadRequest for a document that cannot be read as what it says it is."""
    return [block for part in parts if (block := _block(part)) is not None]


def said(part: Part) -> bool:
    """Whether a part becomes a block: not a blank text, and no thinking that another family signed, or nobody.

    "text content blocks must contain non-whitespace text"; and a thinking block must come back as Claude wrote it.
    """
    if isinstance(part, Text | Refusal):
        return bool(part.text.strip())
    if isinstance(part, Thinking):
        return _own(part.signature)
    return _own(part.data) if isinstance(part, Redacted) else True


def cached(block: Block, cache: Cache | None) -> Block:
    """The block with its breakpoint, where it has one."""
    if cache is not None:
        control = {"type": "ephemeral"}
        block["cache_control"] = {**control, "ttl": cache.ttl} if cache.ttl in _TTLS else control
    return block


def call_id(text: str) -> str:
    """The id of a call as Anthropic takes it: its own unchanged, a foreign one always the same."""
    return text if _ID.fullmatch(text) else f"call_{sha256(text.encode('utf-8', 'replace')).hexdigest()[:24]}"


def _own(signature: Signature | None) -> bool:
    return signature is not None and signature.origin == "anthropic"


def _block(part: Part) -> Block | None:
    if not said(part):
        return None
    if isinstance(part, Text):
        return cached({"type": "text", "text": part.text}, part.cache)
    if isinstance(part, ToolCall):
        call = {"type": "tool_use", "id": call_id(part.id), "name": part.name, "input": to_input(part.arguments)}
        return cached(call, part.cache)
    if isinstance(part, ToolResult):
        return _tool_result(part)
    if isinstance(part, Image):
        return cached({"type": "image", "source": _source(part.source)}, part.cache)
    if isinstance(part, Document):
        return _document(part)
    return _of_model(part)


def _of_model(part: Thinking | Redacted | Refusal | Audio) -> Block | None:
    if isinstance(part, Refusal):
        return {"type": "text", "text": part.text}
    if isinstance(part, Redacted):
        return {"type": "redacted_thinking", "data": part.data.value}
    if isinstance(part, Thinking) and part.signature is not None:
        return {"type": "thinking", "thinking": part.text, "signature": part.signature.value}
    return None


def _tool_result(part: ToolResult) -> Block:
    block: Block = {"type": "tool_result", "tool_use_id": call_id(part.call_id)}
    if content := blocks_of(part.content):
        block["content"] = content
    if part.error:
        block["is_error"] = True
    return cached(block, part.cache)


def _source(source: Data | Link) -> Block:
    if isinstance(source, Link):
        return {"type": "url", "url": source.url}
    # Anthropic's list of media types has `image/jpeg` alone.
    media_type = "image/jpeg" if source.media_type == "image/jpg" else source.media_type
    return {"type": "base64", "media_type": media_type, "data": source.base64}


def _document(part: Document) -> Block:
    block: Block = {"type": "document", "source": _document_source(part.source)}
    if part.name:
        block["title"] = part.name
    return cached(block, part.cache)


def _document_source(source: Data | Link) -> Block:
    if isinstance(source, Link) or source.media_type == _PDF:
        return _source(source)
    if source.media_type.startswith("text/"):
        return {"type": "text", "media_type": "text/plain", "data": _plain(source)}
    raise UnsupportedParameter(
        f"A document of type '{source.media_type[:80]}' is not supported by Anthropic.",
        hint="Send a PDF or plain text.",
        param="document",
    )


def _plain(source: Data) -> str:
    try:
        return b64decode(source.base64, validate=True).decode("utf-8")
    except ValueError:
        raise BadRequest("A text document is not UTF-8 in base64.", code="invalid_request", param="document") from None
