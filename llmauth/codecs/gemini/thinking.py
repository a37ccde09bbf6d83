"""How much a Gemini model is told to think: in words from Gemini 3 on, as a number of tokens before."""

from __future__ import annotations

import re
from enum import Enum
from typing import Any

from llmauth.chat.messages import Reasoning

_NUMBER = re.compile(r"gemini-(\d+)")
_DYNAMIC = -1  # "0 is DISABLED. -1 is AUTOMATIC."

_LEVELS = {
    "minimal": "MINIMAL",
    "low": "LOW",
    "medium": "MEDIUM",
    "high": "HIGH",
    "xhigh": "XHIGH",
    "max": "XHIGH",
}
_BUDGETS = {"none": 0, "minimal": 128, "low": 1024, "medium": 2048, "high": 4096, "xhigh": 16384, "max": 32768}
# "The default values and allowed ranges are model dependent": least, most, and whether 0 is allowed too.
_RANGES = {"pro": (128, 32768, False), "flash-lite": (512, 24576, True), "": (1, 24576, True)}


class Family(Enum):
    """What decides how some things are said."""

    BUDGET = "Gemini 2.5"
    LEVEL = "Gemini 3"


def family(model: str) -> Family:
    """By the number in the model's name; names without one are aliases of the latest, or tuned models of their own.

    Gemini 3 still takes a budget, and 2.5 takes no level: so a budget is what an unknown model is told.
    """
    number = _NUMBER.search(model)
    if number is None:
        return Family.LEVEL if "gemini" in model and "latest" in model else Family.BUDGET
    return Family.LEVEL if int(number[1]) >= 3 else Family.BUDGET


def thinking_config(reasoning: Reasoning, model: str, max_tokens: int | None) -> dict[str, Any]:
    """The `thinkingConfig` of a model; thoughts are part of `maxOutputTokens`, so a budget stays below it."""
    if family(model) is Family.LEVEL:
        level = _level(reasoning, model)
        config: dict[str, Any] = {} if level is None else {"thinkingLevel": level}
    else:
        config = {"thinkingBudget": _budget(reasoning, model, max_tokens)}
    # Who gives a budget speaks as Claude is spoken to, which shows what it thinks unless it is told not to.
    shown = reasoning.shown if reasoning.shown is not None or reasoning.budget is None else True
    if shown is not None and config.get("thinkingBudget") != 0:
        config["includeThoughts"] = shown
    return config


def _level(reasoning: Reasoning, model: str) -> str | None:
    effort = reasoning.effort or _effort(reasoning.budget)
    if effort == "none" or (effort == "minimal" and "pro" in model):
        # These models cannot be kept from thinking: the least that they know.
        return "LOW" if "pro" in model else "MINIMAL"
    return None if effort is None else _LEVELS[effort]


def _effort(budget: int | None) -> str | None:
    if budget is None:
        return None
    fitting = (effort for effort in ("none", "minimal", "low", "medium") if budget <= _BUDGETS[effort])
    return next(fitting, "high")


def _budget(reasoning: Reasoning, model: str, max_tokens: int | None) -> int:
    wanted = _BUDGETS[reasoning.effort] if reasoning.effort else None
    if reasoning.budget is not None and reasoning.effort != "none":
        wanted = reasoning.budget
    return _DYNAMIC if wanted is None else _within(wanted, _range(model), max_tokens)


def _within(wanted: int, allowed: tuple[int, int, bool], max_tokens: int | None) -> int:
    least, most, may_be_off = allowed
    if may_be_off and wanted <= 0:
        return 0
    budget = min(max(wanted, least), most)
    if max_tokens is None or budget < max_tokens:
        return budget
    fits = max_tokens - 1
    if fits >= least:
        return fits
    return 0 if may_be_off else least


def _range(model: str) -> tuple[int, int, bool]:
    return next(allowed for word, allowed in _RANGES.items() if word in model)
