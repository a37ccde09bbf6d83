"""Stop reasons and token counts, in and out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmauth.chat.messages import Finish, Usage
from llmauth.codecs.reading import Node

FINISHES: Mapping[str, Finish] = {
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.STOP_SEQUENCE,
    "max_tokens": Finish.LENGTH,
    "model_context_window_exceeded": Finish.CONTEXT_LENGTH,
    "tool_use": Finish.TOOL_CALLS,
    "refusal": Finish.REFUSAL,
    "pause_turn": Finish.PAUSE,
}
STOP_REASONS: Mapping[Finish, str] = {
    **{finish: reason for reason, finish in FINISHES.items()},
    Finish.CONTENT_FILTER: "refusal",
    # What is usable of a broken output ended as any other.
    Finish.MALFORMED: "end_turn",
}
# "standard" is Anthropic's word for what OpenAI calls "default".
TIERS: Mapping[str, str] = {"standard": "default", "priority": "priority", "batch": "batch"}


def finish_of(reason: str | None) -> Finish:
    """A reason that is new ended an answer too."""
    return FINISHES.get(reason or "", Finish.STOP)


def usage_of(node: Node) -> Usage:
    """The counts of an answer; Anthropic counts cached tokens beside `input_tokens`, as we do."""
    details = node.get("output_tokens_details")
    return Usage(
        input=node.count_of("input_tokens"),
        cache_read=node.count_of("cache_read_input_tokens"),
        cache_write=node.count_of("cache_creation_input_tokens"),
        output=node.count_of("output_tokens"),
        reasoning=0 if details is None else details.count_of("thinking_tokens"),
    )


def usage_body(usage: Usage | None) -> dict[str, Any]:
    """The counts as Anthropic writes them; its clients need the first and the last."""
    told = usage or Usage()
    body: dict[str, Any] = {
        "input_tokens": told.input,
        "cache_creation_input_tokens": told.cache_write,
        "cache_read_input_tokens": told.cache_read,
        "output_tokens": told.output,
    }
    if told.reasoning:
        body["output_tokens_details"] = {"thinking_tokens": told.reasoning}
    return body


def tier_of(node: Node | None) -> str | None:
    """The service tier of an answer, as OpenAI names tiers."""
    tier = None if node is None else node.get("service_tier")
    return None if tier is None else TIERS.get(tier.text())
