"""A whole answer, written as OpenAI's chat completion, and what the stream's chunks share with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmauth.chat import signatures
from llmauth.chat.messages import (
    ChatResponse,
    Choice,
    Citation,
    Finish,
    Part,
    Redacted,
    Refusal,
    Signature,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from llmauth.chat.words import Word
from llmauth.codecs.base import Answering, to_json

# A closed set: the official clients in their strict mode take no other word.
FINISH_REASONS: Mapping[Finish, str] = {
    Finish.STOP: "stop",
    Finish.STOP_SEQUENCE: "stop",
    Finish.LENGTH: "length",
    Finish.CONTEXT_LENGTH: "length",
    Finish.TOOL_CALLS: "tool_calls",
    Finish.CONTENT_FILTER: "content_filter",
    Finish.REFUSAL: "content_filter",
    Finish.PAUSE: "stop",
    Finish.MALFORMED: "stop",
}
_TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "fast"})


def render_response(response: ChatResponse, answering: Answering) -> bytes:
    """The body of the answer."""
    old = speaks_of_functions(answering)
    body: dict[str, Any] = {
        "id": completion_id(answering),
        "object": "chat.completion",
        "created": answering.created,
        "model": answering.model,
        "choices": [_choice(choice, old) for choice in response.choices],
    }
    if response.usage is not None:
        body["usage"] = usage_of(response.usage)
    if response.service_tier in _TIERS:
        body["service_tier"] = response.service_tier
    return to_json(body)


def completion_id(answering: Answering) -> str:
    """The id that every chunk of an answer repeats."""
    return f"chatcmpl-{answering.id}"


def speaks_of_functions(answering: Answering) -> bool:
    """Whether the client used the words of 2023: it looks for `function_call`, and knows no list of calls."""
    return answering.request.named(Word.TOOLS) == "functions"


def finish_reason(finish: Finish, old: bool) -> str:
    """OpenAI's word for an end."""
    return "function_call" if old and finish is Finish.TOOL_CALLS else FINISH_REASONS[finish]


def usage_of(usage: Usage) -> dict[str, Any]:
    """The bill: tokens from the cache count inside the prompt, and thoughts inside the completion."""
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.output,
        "total_tokens": usage.total,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


def annotation_of(citation: Citation, start: int, end: int) -> dict[str, Any]:
    """A source; `start` and `end` stand in for what was not told, since both must be numbers."""
    told = {
        "start_index": start if citation.start is None else citation.start,
        "end_index": end if citation.end is None else citation.end,
        "url": citation.url,
        "title": citation.title,
    }
    return {"type": "url_citation", "url_citation": told}


def thinking_block(text: str, signature: Signature | None) -> dict[str, Any]:
    """A thought with its signature, which says whose it is: no other family of models is ever shown it."""
    block = {"type": "thinking", "thinking": text}
    return block if signature is None else {**block, "signature": signatures.written(signature, "openai")}


def redacted_block(data: Signature) -> dict[str, Any]:
    """A thought that only its provider can read."""
    return {"type": "redacted_thinking", "data": signatures.written(data, "openai")}


def extra_content(signature: Signature) -> dict[str, Any]:
    """A call's signature, where Google's own OpenAI-compatible endpoint puts it."""
    return {"google": {"thought_signature": signatures.written(signature, "gemini")}}


def _choice(choice: Choice, old: bool) -> dict[str, Any]:
    return {
        "index": choice.index,
        "message": _message(choice.parts, old),
        "logprobs": None if choice.logprobs is None else {"refusal": None, **choice.logprobs},
        "finish_reason": finish_reason(choice.finish, old),
    }


def _message(parts: Sequence[Part], old: bool) -> dict[str, Any]:
    texts = [part for part in parts if isinstance(part, Text)]
    refusal = "".join(part.text for part in parts if isinstance(part, Refusal))
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(text.text for text in texts) if texts else None,
        "refusal": refusal or None,
    }
    if annotations := _annotations(texts):
        message["annotations"] = annotations
    message |= _thought([part for part in parts if isinstance(part, Thinking | Redacted)])
    calls = [part for part in parts if isinstance(part, ToolCall)]
    if calls and old:
        message["function_call"] = _function(calls[0])
    elif calls:
        message["tool_calls"] = [_call(call) for call in calls]
    return message


def _annotations(texts: Sequence[Text]) -> list[dict[str, Any]]:
    """Counted in the text as a whole, of which each part is a piece."""
    annotations, start = [], 0
    for text in texts:
        end = start + len(text.text)
        annotations += [annotation_of(_moved(citation, start), start, end) for citation in text.citations]
        start = end
    return annotations


def _moved(citation: Citation, by: int) -> Citation:
    if not by:
        return citation
    start, end = citation.start, citation.end
    return Citation(
        citation.url, citation.title, None if start is None else start + by, None if end is None else end + by
    )


def _thought(parts: Sequence[Thinking | Redacted]) -> dict[str, Any]:
    text = "".join(part.text for part in parts if isinstance(part, Thinking))
    told: dict[str, Any] = {"reasoning_content": text} if text else {}
    if any(isinstance(part, Redacted) or part.signature is not None for part in parts):
        told["thinking_blocks"] = [_block(part) for part in parts]
    return told


def _block(part: Thinking | Redacted) -> dict[str, Any]:
    return redacted_block(part.data) if isinstance(part, Redacted) else thinking_block(part.text, part.signature)


def _function(call: ToolCall) -> dict[str, Any]:
    return {"name": call.name, "arguments": call.arguments or "{}"}


def _call(call: ToolCall) -> dict[str, Any]:
    rendered: dict[str, Any] = {"id": call.id, "type": "function", "function": _function(call)}
    if call.signature is not None:
        rendered["extra_content"] = extra_content(call.signature)
    return rendered
