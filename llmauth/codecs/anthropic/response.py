"""A whole answer of Messages, read from a provider and written to a client."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

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
)
from llmauth.chat.signatures import written
from llmauth.codecs.anthropic import answer_tool, marks
from llmauth.codecs.anthropic.failures import told_by
from llmauth.codecs.anthropic.finishes import STOP_REASONS, TIERS, finish_of, tier_of, usage_body, usage_of
from llmauth.codecs.arguments import from_input, to_input
from llmauth.codecs.base import Answering, to_json
from llmauth.codecs.reading import Malformed, Node, parse_fast
from llmauth.errors import BrokenAnswer

_OUR_TIERS = {ours: theirs for theirs, ours in TIERS.items()}


def parse(body: bytes) -> ChatResponse:
    """The answer of a provider. BrokenAnswer, or UpstreamError where it is an error object."""
    try:
        return _response(Node(parse_fast(body)))
    except Malformed as fault:
        raise BrokenAnswer(f"The provider's answer is no message of Anthropic's: {str(fault)[:80]}.") from None


def _response(top: Node) -> ChatResponse:
    if top.text_of("type", "message") == "error":
        raise told_by(top)
    found = [part for block in top.need("content").items() if (part := _part(block)) is not None]
    usage = top.get("usage")
    parts = (*found, *_refusal(top))
    return ChatResponse(
        id=top.text_of("id"),
        model=top.text_of("model"),
        choices=(Choice(parts=parts, finish=_finish(top, parts), stop_sequence=top.text_of("stop_sequence") or None),),
        usage=None if usage is None else usage_of(usage),
        service_tier=tier_of(usage),
    )


def _finish(top: Node, parts: tuple[Part, ...]) -> Finish:
    finish = finish_of(top.text_of("stop_reason"))
    called = any(isinstance(part, ToolCall) for part in parts)
    # The call of our own answer tool has become the answer.
    return Finish.STOP if finish is Finish.TOOL_CALLS and not called else finish


def _refusal(top: Node) -> list[Refusal]:
    details = top.get("stop_details")
    words = "" if details is None else details.text_of("explanation")
    return [Refusal(words)] if words else []


def _part(block: Node) -> Part | None:
    """The part that a block is; a kind of block that is new is skipped."""
    reader = _READERS.get(block.text_of("type"))
    return None if reader is None else reader(block)


def _text(block: Node) -> Text:
    citations = tuple(cited for node in block.list_of("citations") if (cited := citation_of(node.object())) is not None)
    return Text(block.text_of("text"), citations=citations)


def citation_of(citation: Mapping[str, Any]) -> Citation | None:
    """A source on the web; places in documents of the prompt are told to nobody who does not ask for them."""
    url, title = citation.get("url"), citation.get("title")
    return Citation(url, title if isinstance(title, str) else "") if isinstance(url, str) else None


def _thinking(block: Node) -> Thinking:
    signature = block.text_of("signature")
    return Thinking(block.text_of("thinking"), Signature("anthropic", signature) if signature else None)


def _redacted(block: Node) -> Redacted:
    return Redacted(Signature("anthropic", block.need("data").text()))


def _tool_use(block: Node) -> ToolCall | Text:
    name = block.need("name").text()
    given = block.get("input")
    arguments = "{}" if given is None else from_input(given.object())
    return Text(arguments) if name == answer_tool.NAME else ToolCall(block.need("id").text(), name, arguments)


_READERS: Mapping[str, Callable[[Node], Part]] = {
    "text": _text,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
    "tool_use": _tool_use,
}


def render(response: ChatResponse, answering: Answering) -> bytes:
    """The answer as a client of Messages reads it: the first choice, which is the only one here."""
    choice = response.choices[0] if response.choices else Choice(parts=(), finish=Finish.STOP)
    body = {
        **opening(answering),
        "content": [block for part in choice.parts for block in _blocks(part, answering)],
        **ending(choice.finish, choice.stop_sequence, refused(choice.parts)),
        "usage": usage_body(response.usage),
    }
    if response.service_tier in _OUR_TIERS:
        body["usage"]["service_tier"] = _OUR_TIERS[response.service_tier]
    return to_json(body)


def opening(answering: Answering) -> dict[str, Any]:
    """What a message says of itself before it says anything."""
    return {"id": f"msg_{answering.id}", "type": "message", "role": "assistant", "model": answering.model}


def ending(finish: Finish, stop_sequence: str | None, refusal: str) -> dict[str, Any]:
    """Why it ended. The model's words for not answering make every ending a refusal, and stand in its details."""
    if refusal:
        details = {"type": "refusal", "category": None, "explanation": refusal}
        return {"stop_reason": "refusal", "stop_sequence": None, "stop_details": details}
    return {"stop_reason": STOP_REASONS[finish], "stop_sequence": stop_sequence}


def refused(parts: tuple[Part, ...]) -> str:
    """The model's words for not answering."""
    return "".join(part.text for part in parts if isinstance(part, Refusal))


def shows_thinking(answering: Answering) -> bool:
    """Whether thinking is written as it was thought; its signature is, in any case."""
    reasoning = answering.request.reasoning
    return reasoning is None or reasoning.shown is not False


def cited(citation: Citation) -> dict[str, Any]:
    """A source on the web; of its text and place nothing is known here, and clients need strings."""
    return {
        "type": "web_search_result_location",
        "url": citation.url,
        "title": citation.title or None,
        "cited_text": "",
        "encrypted_index": "",
    }


def _blocks(part: Part, answering: Answering) -> list[dict[str, Any]]:
    if isinstance(part, Text):
        return _text_blocks(part)
    if isinstance(part, ToolCall):
        call = {"type": "tool_use", "id": part.id, "name": part.name, "input": to_input(part.arguments)}
        return [call] if part.signature is None else [marks.of_call(part.signature), call]
    if isinstance(part, Thinking):
        return _thinking_blocks(part, shows_thinking(answering))
    if isinstance(part, Redacted):
        return [{"type": "redacted_thinking", "data": written(part.data, "anthropic")}]
    return []


def _text_blocks(part: Text) -> list[dict[str, Any]]:
    text: dict[str, Any] = {"type": "text", "text": part.text}
    if part.citations:
        text["citations"] = [cited(citation) for citation in part.citations]
    found = [text] if part.text else []
    return found if part.signature is None else [*found, marks.of_text(part.signature)]


def _thinking_blocks(part: Thinking, shown: bool) -> list[dict[str, Any]]:
    signature = "" if part.signature is None else written(part.signature, "anthropic")
    text = part.text if shown else ""
    return [{"type": "thinking", "thinking": text, "signature": signature}] if text or signature else []
