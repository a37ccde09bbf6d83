"""How much a model is to think, in the native members of each family that can be told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmauth.chat.messages import ChatRequest, Reasoning
from llmauth.chat.words import Word
from llmauth.codecs.claude_models import ClaudeTraits, thinking_fields, thinks, thoughtless_loop
from llmauth.codecs.converse.families import Family, Kind

_LEVELS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}
# What a budget is worth where a model knows levels only.
_BUDGETS = ((1024, "low"), (2048, "medium"))
# Nova 2: "when maxReasoningEffort is set to high, temperature, topP and maxTokens must be unset".
_NOT_BESIDE_HIGH = {Word.MAX_TOKENS, Word.TEMPERATURE, Word.TOP_P}


def reasoning_fields(request: ChatRequest, family: Family, *, forced: bool) -> dict[str, Any]:
    """Members of `additionalModelRequestFields`; none where the family cannot be told this, or not beside the rest.

    `forced` says that a tool must be called: "Thinking is not compatible with forced tool use."
    """
    reasoning = request.reasoning
    if reasoning is None:
        return {}
    if family.traits is not None:
        return _of_claude(request, reasoning, family.traits, forced)
    if family.kind is Kind.NOVA_2:
        return {"reasoningConfig": _of_nova(reasoning, request.parameters)}
    # gpt-oss always thinks: "none" cannot be said.
    if family.kind is Kind.GPT_OSS and reasoning.effort != "none":
        return {"reasoning_effort": _level(reasoning)}
    return {}


def has_budget(fields: Mapping[str, Any]) -> bool:
    """Whether thinking has a budget of tokens, which must be less than the limit of them all."""
    return "budget_tokens" in fields.get("thinking", {})


def _of_claude(request: ChatRequest, reasoning: Reasoning, traits: ClaudeTraits, forced: bool) -> dict[str, Any]:
    limit = request.parameters.get(Word.MAX_TOKENS, traits.default_max_tokens)
    fields = thinking_fields(reasoning, traits, limit)
    against = forced or (has_budget(fields) and thoughtless_loop(request.messages))
    return {} if against and thinks(fields) else fields


def _of_nova(reasoning: Reasoning, parameters: Mapping[Word, Any]) -> dict[str, str]:
    if reasoning.effort == "none":
        return {"type": "disabled"}
    level = _level(reasoning)
    if level == "high" and _NOT_BESIDE_HIGH & parameters.keys():
        level = "medium"
    return {"type": "enabled", "maxReasoningEffort": level}


def _level(reasoning: Reasoning) -> str:
    if reasoning.effort is None and reasoning.budget is not None:
        budget = reasoning.budget
        return next((level for limit, level in _BUDGETS if budget <= limit), "high")
    return _LEVELS.get(reasoning.effort or "medium", "medium")
