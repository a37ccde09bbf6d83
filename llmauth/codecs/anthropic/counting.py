"""Counting the tokens of a prompt: asked of the hosts that can, estimated where none can."""

from __future__ import annotations

import json
from base64 import b64encode
from math import ceil

from llmauth.chat.messages import (
    Audio,
    ChatRequest,
    Data,
    Document,
    Image,
    JsonSchema,
    Part,
    Redacted,
    ToolCall,
    ToolResult,
)
from llmauth.codecs.anthropic.native import VERTEX_VERSION, for_bedrock
from llmauth.codecs.base import to_json
from llmauth.codecs.reading import Malformed, Node, parse_fast
from llmauth.codecs.splice import Splice
from llmauth.codecs.whole import about_tokens
from llmauth.errors import BrokenAnswer

# A picture costs at most about this ("tokens = width × height / 750", scaled to fit), a page of a PDF about twice it.
_IMAGE = 1600
_BYTES_OF_PAGE = 50_000
_OVERHEAD = 4  # of a message, a call, a result: the marks round it
_TOOLS_OVERHEAD = 300  # the instruction that Anthropic adds where there are tools


def asking_vertex(body: bytes) -> bytes:
    """A client's own `count_tokens` body, changed only where Vertex wants it otherwise."""
    splice = Splice(body)
    known = "anthropic_version" in splice.members
    return body if known else splice.altered(added={"anthropic_version": VERTEX_VERSION})


def asking_bedrock(body: bytes, betas: tuple[str, ...] = ()) -> bytes:
    """The same as Bedrock's CountTokens takes it."""
    # InvokeModel takes no body without a limit, and counting does not look at it.
    invoked = b64encode(for_bedrock(body, betas, limit=1)).decode("ascii")
    return to_json({"input": {"invokeModel": {"body": invoked}}})


def parse_count(body: bytes) -> int:
    """The count in a host's answer: `input_tokens`, at Bedrock `inputTokens`. BrokenAnswer where there is none."""
    try:
        top = Node(parse_fast(body))
        return (top.get("inputTokens") or top.need("input_tokens")).integer(0)
    except Malformed as fault:
        raise BrokenAnswer(f"The provider's answer is no count of tokens: {str(fault)[:80]}.") from None


def render_count(tokens: int) -> bytes:
    """The answer that a client of `count_tokens` reads."""
    return to_json({"input_tokens": tokens})


def estimate_tokens(request: ChatRequest) -> int:
    """About how many tokens a prompt has, where nobody can be asked.

    An estimate, and no more: four characters of ASCII to a token and one of any other script, a fixed price for
    pictures, documents by their size. For English prose and code it lies within about a quarter of what a provider
    counts, mostly above; nothing should be billed by it.
    """
    tokens = sum(_OVERHEAD + sum(_of_part(part) for part in message.parts) for message in request.messages)
    for tool in request.tools:
        tokens += _OVERHEAD + about_tokens(tool.name + tool.description + json.dumps(dict(tool.schema)))
    if isinstance(request.output, JsonSchema):
        tokens += about_tokens(json.dumps(dict(request.output.schema)))
    return tokens + (_TOOLS_OVERHEAD if request.tools else 0)


def _of_part(part: Part) -> int:
    if isinstance(part, Image):
        return _IMAGE
    if isinstance(part, Document):
        return _of_document(part)
    if isinstance(part, ToolCall):
        return _OVERHEAD + about_tokens(part.name + part.arguments)
    if isinstance(part, ToolResult):
        return _OVERHEAD + sum(_of_part(inner) for inner in part.content)
    if isinstance(part, Audio):
        return len(part.source.base64) // 100
    return about_tokens(part.data.value) if isinstance(part, Redacted) else about_tokens(part.text)


def _of_document(part: Document) -> int:
    if not isinstance(part.source, Data):
        return 2 * _IMAGE
    size = len(part.source.base64) * 3 // 4
    return ceil(size / 4) if part.source.media_type.startswith("text/") else 2 * _IMAGE * ceil(size / _BYTES_OF_PAGE)
