"""Answers of those who speak OpenAI's chat, read into the neutral form: whole ones, and what streams share."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from llmauth.chat.messages import (
    ChatResponse,
    Choice,
    Citation,
    Finish,
    Origin,
    Part,
    Redacted,
    Refusal,
    Signature,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from llmauth.codecs.reading import Node

FINISHES: Mapping[str, Finish] = {
    "stop": Finish.STOP,
    "length": Finish.LENGTH,
    "tool_calls": Finish.TOOL_CALLS,
    "function_call": Finish.TOOL_CALLS,
    "content_filter": Finish.CONTENT_FILTER,
}

# NaN and the infinities are no JSON, and no client could read them: some servers write them among log probabilities.
_decode: Callable[[str], Any] = json.JSONDecoder(parse_constant=lambda _: None).decode


def decode(text: str) -> Any:
    """JSON of a provider; ValueError or RecursionError for what is none."""
    return _decode(text)


def parse_answer(
    node: Node, *, model: str = "model", finishes: Mapping[str, Finish] = FINISHES, family: Origin = "openai"
) -> ChatResponse:
    """A whole answer; `model` is the member that names the model. Malformed where it has no choices."""
    identity = node.text_of("id")
    choices = [
        parse_choice(choice, finishes=finishes, family=family, seed=identity) for choice in node.need("choices").items()
    ]
    if not choices:
        node.fail("holds no choices")
    usage = node.get("usage")
    tier = node.object().get("service_tier")
    return ChatResponse(
        id=identity,
        model=node.text_of(model),
        choices=tuple(choices),
        usage=None if usage is None else parse_usage(usage),
        service_tier=tier if isinstance(tier, str) else None,
    )


def parse_choice(
    node: Node, *, finishes: Mapping[str, Finish] = FINISHES, family: Origin = "openai", seed: str = ""
) -> Choice:
    """One of `choices`; of `seed` (the answer's id) the ids of calls are made that have none."""
    index = node.count_of("index")
    message = node.need("message")
    refused = bool(message.text_of("refusal")) or _refuses(message)
    parts = (
        *_thinking(message, family),
        *_said(message),
        *_calls(message, family, f"{seed}/{index}"),
    )
    logprobs = node.object().get("logprobs")
    tokens = token_logprobs(logprobs)
    return Choice(
        parts=parts,
        finish=finish_of(
            node.need("finish_reason").text(),
            finishes,
            refused=refused,
            called=any(isinstance(part, ToolCall) for part in parts),
        ),
        index=index,
        logprobs={"content": list(tokens)} if tokens else None,
    )


def finish_of(reason: str, finishes: Mapping[str, Finish], *, refused: bool, called: bool) -> Finish:
    """Why it ended; a word that nobody knows is an ordinary end.

    A model that refuses ends with `stop`, and so does one that was made to call a tool by name.
    """
    finish = finishes.get(reason, Finish.STOP)
    if refused and finish in (Finish.STOP, Finish.CONTENT_FILTER):
        return Finish.REFUSAL
    return Finish.TOOL_CALLS if called and finish is Finish.STOP else finish


def parse_usage(node: Node) -> Usage:
    """OpenAI counts cached tokens inside the prompt, and thoughts inside the completion."""
    prompt, output = node.count_of("prompt_tokens"), node.count_of("completion_tokens")
    within = node.get("prompt_tokens_details") or Node({})
    read, written = within.count_of("cached_tokens"), within.count_of("cache_write_tokens")
    reasoning = (node.get("completion_tokens_details") or Node({})).count_of("reasoning_tokens")
    # Some count thoughts beside the completion instead; the total gives them away.
    if node.count_of("total_tokens") == prompt + output + reasoning:
        output += reasoning
    return Usage(
        input=max(prompt - read - written, 0), cache_read=read, cache_write=written, output=output, reasoning=reasoning
    )


def synthetic_id(seed: str, number: int, name: str) -> str:
    """The id of a call that came without one: the same whenever this answer is read."""
    return "call_" + hashlib.sha256(f"{seed}/{number}/{name}".encode("utf-8", "replace")).hexdigest()[:24]


def citation_of(annotation: Any) -> Citation | None:
    """A `url_citation`; other kinds of annotations are not known."""
    told = annotation.get("url_citation") if isinstance(annotation, dict) else None
    if not isinstance(told, dict) or not isinstance(told.get("url"), str):
        return None
    title = told.get("title")
    return Citation(
        told["url"],
        title if isinstance(title, str) else "",
        _count(told.get("start_index")),
        _count(told.get("end_index")),
    )


def token_logprobs(logprobs: Any) -> tuple[dict[str, Any], ...]:
    """The tokens of a `logprobs` member, each with all members that OpenAI's clients ask for; no token, nothing."""
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    return tuple(_token(item) for item in content if _is_token(item)) if isinstance(content, list) else ()


def call_signature(call: Mapping[str, Any], family: Origin) -> Signature | None:
    """The signature of a thought that led to a call, where Google's OpenAI-compatible endpoint puts it."""
    extra = call.get("extra_content")
    google = extra.get("google") if isinstance(extra, dict) else None
    value = google.get("thought_signature") if isinstance(google, dict) else None
    return Signature(family, value) if isinstance(value, str) and value else None


def texts_of(content: Any) -> str:
    """The text of a `content` that may be a string or, with some, a list of parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    texts = [part.get("text") for part in parts if isinstance(part, dict) and part.get("type") == "text"]
    return "".join(text for text in texts if isinstance(text, str))


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _refuses(message: Node) -> bool:
    content = message.object().get("content")
    return isinstance(content, list) and any(isinstance(p, dict) and p.get("type") == "refusal" for p in content)


def _thinking(message: Node, family: Origin) -> list[Part]:
    """Blocks keep what a plain text of thoughts would lose, so they count where both are there."""
    parts = [part for block in message.list_of("thinking_blocks") if (part := _block(block, family)) is not None]
    if parts:
        return parts
    thought = message.get("reasoning_content") or message.get("reasoning")
    text = "" if thought is None else thought.text()
    return [Thinking(text)] if text else []


def _block(block: Node, family: Origin) -> Part | None:
    kind = block.text_of("type")
    if kind == "redacted_thinking":
        return Redacted(Signature(family, block.need("data").text()))
    signature = block.text_of("signature")
    text = block.text_of("thinking")
    if kind != "thinking" or not (text or signature):
        return None
    return Thinking(text, Signature(family, signature) if signature else None)


def _said(message: Node) -> list[Part]:
    content = message.get("content")
    if content is not None and not isinstance(content.value, str | list):
        content.fail("expected a string")
    text = "" if content is None else texts_of(content.value)
    citations = tuple(c for item in message.list_of("annotations") if (c := citation_of(item.value)) is not None)
    said: list[Part] = [Text(text, citations=citations)] if text else []
    if refusal := message.text_of("refusal") or _refused(content):
        said.append(Refusal(refusal))
    return said


def _refused(content: Node | None) -> str:
    parts = content.value if content is not None and isinstance(content.value, list) else []
    found = [part.get("refusal") for part in parts if isinstance(part, dict) and part.get("type") == "refusal"]
    return "".join(text for text in found if isinstance(text, str))


def _calls(message: Node, family: Origin, seed: str) -> list[ToolCall]:
    calls = message.list_of("tool_calls")
    if not calls and (old := message.get("function_call")) is not None:
        calls = [Node({"function": old.value}, message.place)]
    return [_call(call, number, family, seed) for number, call in enumerate(calls)]


def _call(call: Node, number: int, family: Origin, seed: str) -> ToolCall:
    function = call.need("function")
    name = function.need("name").text()
    identity = call.text_of("id") or synthetic_id(seed, number, name)
    return ToolCall(identity, name, function.text_of("arguments"), call_signature(call.object(), family))


def _is_token(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("token"), str)


def _token(item: dict[str, Any]) -> dict[str, Any]:
    top = item.get("top_logprobs")
    return {
        **_candidate(item),
        "top_logprobs": [_candidate(other) for other in top if _is_token(other)] if isinstance(top, list) else [],
    }


def _candidate(item: dict[str, Any]) -> dict[str, Any]:
    logprob, octets = item.get("logprob"), item.get("bytes")
    number = isinstance(logprob, int | float) and not isinstance(logprob, bool) and math.isfinite(logprob)
    return {
        "token": item["token"],
        "logprob": logprob if number else -9999.0,  # "Otherwise, the value -9999.0 is used"
        "bytes": octets if isinstance(octets, list) and all(type(octet) is int for octet in octets) else None,
    }
