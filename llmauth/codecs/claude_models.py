"""What a Claude model takes, told by its name: sampling, the form of thinking, forced tools, structured output."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from llmauth.chat.messages import Message, Part, Reasoning, Redacted, Thinking, ToolCall
from llmauth.chat.words import Word
from llmauth.codecs.mapping import Dropped, Rule

Version = tuple[int, int]

# "thinking.budget_tokens must be at least 1024 and less than max_tokens."
LEAST_BUDGET = 1024
# What each effort is worth where a model takes tokens only; Claude takes no fewer than 1024.
BUDGETS = {"minimal": 1024, "low": 1024, "medium": 2048, "high": 4096, "xhigh": 16384}
_EFFORTS = ("low", "medium", "high", "xhigh", "max")
# "top_p: between 0.95 and 1" is what thinking goes with.
_TOP_P_WHILE_THINKING = 0.95

_NAME = re.compile(r"claude[-.]?([a-z0-9.@:_-]*)")
_NUMBER = re.compile(r"v?(\d{1,2})")
# The newest version of which we know what it takes; what is newer takes what the newest takes.
_KNOWN: Version = (5, 5)
# "the newest models (Fable 5.1, Mythos 5.1) refuse [a forced tool] altogether"; their elder sisters do not.
_NO_FORCED_TOOLS_FROM = {"fable": (5, 1), "mythos": (5, 1), "opus": (5, 6), "sonnet": (5, 6), "haiku": (5, 6)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaudeTraits:
    """What a model takes.

    `sampling`: `top_p`, `top_k` and a temperature other than 1; `one_sampling`: temperature or `top_p`, not both.
    `thinking`: at all; `adaptive`: in the adaptive form with an effort, not as a budget of tokens; `xhigh`: that
    effort. `forced_tools`: tool choice `any` and `tool`. `structured`: `output_config.format`. `later_system`: a
    message of role `system` behind a user's. `default_max_tokens`: asked for where a client named no limit.
    """

    sampling: bool
    one_sampling: bool
    thinking: bool
    adaptive: bool
    xhigh: bool
    forced_tools: bool
    structured: bool
    later_system: bool
    default_max_tokens: int


def is_claude(model: str) -> bool:
    """Whether a model id names a Claude, in whatever spelling; an ARN of a profile may hide what it leads to."""
    return "claude" in model.lower()


@lru_cache(maxsize=512)
def claude_traits(model: str) -> ClaudeTraits:
    """The traits of the model that this id names: Anthropic's, Bedrock's or Vertex's spelling, or an ARN.

    What is unknown is taken for the newest: a gateway outlives the models of its day.
    """
    line, version = _read(model)
    at = _KNOWN if version is None else version
    return ClaudeTraits(
        # "Claude 4.7 and later refuse top_p, top_k and any temperature other than 1."
        sampling=at < (4, 7),
        # "`temperature` and `top_p` cannot both be specified for this model", since Opus 4.1.
        one_sampling=at >= (4, 1),
        # Extended thinking came with Claude 3.7.
        thinking=at >= (3, 7),
        # Adaptive thinking came with 4.6, which deprecates budgets; from 4.7 on a budget is a 400.
        adaptive=at >= (4, 6),
        xhigh=at >= (4, 7),
        forced_tools=at < _NO_FORCED_TOOLS_FROM.get(line, (5, 0)),
        # Structured output is offered "for all Claude 4.5 models and later".
        structured=at >= (4, 5),
        # "Claude Opus 4.8 accepts role system messages immediately after a user turn."
        later_system=at >= (4, 8),
        default_max_tokens=_default_max_tokens(line, at),
    )


def thinking_fields(reasoning: Reasoning | None, traits: ClaudeTraits, max_tokens: int) -> dict[str, Any]:
    """The members `thinking` and `output_config` that ask for it; none where the model cannot, or has no room to.

    An empty answer to a reasoning that asks for something means that it is left out: the caller tells the client.
    """
    if reasoning is None or not traits.thinking:
        return {}
    if reasoning.effort == "none":
        return {"thinking": {"type": "disabled"}}
    if traits.adaptive:
        effort = _effort(reasoning, traits)
        fields: dict[str, Any] = {"thinking": _shown({"type": "adaptive"}, reasoning)}
        return fields if effort is None else {**fields, "output_config": {"effort": effort}}
    budget = min(_budget(reasoning, max_tokens), max_tokens - 1)
    if budget < LEAST_BUDGET:
        return {}
    return {"thinking": _shown({"type": "enabled", "budget_tokens": budget}, reasoning)}


def thinks(fields: Mapping[str, Any]) -> bool:
    """Whether these members turn thinking on, which then narrows what else may be asked."""
    return bool(fields.get("thinking", {}).get("type", "disabled") != "disabled")


def thoughtless_loop(messages: Sequence[Message]) -> bool:
    """Whether a loop of calls goes on whose thinking, of Claude's own, did not come back.

    A model that is asked for thinking would refuse it: "Expected `thinking` or `redacted_thinking`, but found
    `tool_use`". What a user says beside the results stands in the same turn, and ends no loop.
    """
    last = next((message.parts for message in reversed(messages) if message.role == "assistant"), ())
    return any(isinstance(part, ToolCall) for part in last) and not any(map(_thought_by_claude, last))


def _thought_by_claude(part: Part) -> bool:
    if isinstance(part, Thinking):
        return part.signature is not None and part.signature.origin == "anthropic"
    return isinstance(part, Redacted) and part.data.origin == "anthropic"


def sampling_rules(said: Mapping[Word, Any], traits: ClaudeTraits, *, thinking: bool) -> dict[Word, Rule]:
    """What is left out of these parameters beside what else is asked, where the model takes any of them."""
    if not traits.sampling:
        return {}
    if not thinking:
        both = traits.one_sampling and Word.TEMPERATURE in said
        return {Word.TOP_P: Dropped("not beside a temperature")} if both else {}
    rules: dict[Word, Rule] = {Word.TOP_K: Dropped("not while it thinks")}
    if said.get(Word.TEMPERATURE, 1) != 1:
        rules[Word.TEMPERATURE] = Dropped("not while it thinks")
    if said.get(Word.TOP_P, 1) < _TOP_P_WHILE_THINKING:
        rules[Word.TOP_P] = Dropped("not while it thinks")
    return rules


def _effort(reasoning: Reasoning, traits: ClaudeTraits) -> str | None:
    """A budget becomes the least effort that is worth it, of those that every adaptive model knows."""
    effort = reasoning.effort
    if effort is None:
        budget = reasoning.budget
        return None if budget is None else next((name for name in ("low", "medium") if budget <= BUDGETS[name]), "high")
    if effort == "xhigh" and not traits.xhigh:
        return "high"
    return effort if effort in _EFFORTS else "low"


def _budget(reasoning: Reasoning, max_tokens: int) -> int:
    if reasoning.budget is not None:
        return max(reasoning.budget, LEAST_BUDGET)
    return max_tokens if reasoning.effort == "max" else BUDGETS[reasoning.effort or "medium"]


def _shown(thinking: dict[str, Any], reasoning: Reasoning) -> dict[str, Any]:
    if reasoning.shown is None:
        return thinking
    return {**thinking, "display": "summarized" if reasoning.shown else "omitted"}


def _default_max_tokens(line: str, version: Version) -> int:
    """What every model of the version may write, and what can be waited for without a stream.

    The official client refuses to wait for more than 8,192 tokens of Opus 4 and 4.1, and 21,333 of others.
    """
    if version < (3, 5):
        return 4096
    return 8192 if version < (4, 0) or (line == "opus" and version < (4, 5)) else 16384


def _read(model: str) -> tuple[str, Version | None]:
    """Line and version: `claude-3-5-sonnet-20241022`, `claude-opus-4-8`, `anthropic.claude-v2:1`, `…-4-5@20250929`."""
    found = _NAME.search(model.lower())
    words = re.split(r"[-.@:_]+", found.group(1)) if found else []
    line = next((word for word in words if word.isalpha() and word != "v"), "")
    numbers: list[int] = []
    for word in words:
        number = _NUMBER.fullmatch(word)
        # The `v1:0` that ends Bedrock's ids numbers the release, not the model.
        if number and not (numbers and word.startswith("v")) and len(numbers) < 2:
            numbers.append(int(number.group(1)))
        elif numbers:
            break
    if not numbers:
        return line, (1, 0) if line == "instant" else None
    return line, (numbers[0], numbers[1] if len(numbers) > 1 else 0)
