"""The members of a client's body: which word each is, of what type and in what range."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from llmauth.chat.words import Word
from llmauth.codecs.reading import Node
from llmauth.errors import UnsupportedParameter

Reading = Callable[[Node], Any]  # None where the value changes nothing


def _nothing(value: object) -> Callable[[Any], Any]:
    return lambda found: None if found == value else found


def _stop(node: Node) -> tuple[str, ...] | None:
    if isinstance(node.value, str):
        return (node.value,) if node.value else None
    stops = tuple(stop.text() for stop in node.items())
    if "" in stops:
        node.fail("holds an empty text")
    return stops or None


def _bias(node: Node) -> dict[str, Any] | None:
    for name in node.object():
        (node.get(name) or node).number(-100, 100)
    return node.object() or None


def _words(node: Node) -> dict[str, str] | None:
    return {name: node.need(name).text() for name in node.object()} or None


def _modalities(node: Node) -> tuple[str, ...] | None:
    kinds = tuple(kind.text() for kind in node.items())
    return kinds if set(kinds) - {"text"} else None


def _top_k(node: Node) -> int | None:
    """Not OpenAI's, but taken by many who speak its format; there, what is not positive means no limit."""
    return max(node.integer(-1), 0) or None


def _count(least: int, most: int | None = None, idle: int | None = None) -> Reading:
    return lambda node: _nothing(idle)(node.integer(least, most))


def _number(least: float, most: float, idle: float | None = None) -> Reading:
    return lambda node: _nothing(idle)(node.number(least, most))


def _text(node: Node) -> str | None:
    return node.text() or None


def _one_of(*allowed: str, idle: str | None = None) -> Reading:
    return lambda node: _nothing(idle)(node.one_of(*allowed))


def _flag(meaning: bool) -> Reading:
    return lambda node: node.flag() if node.flag() is meaning else None


PARAMETERS: Mapping[str, tuple[Word, Reading]] = {
    "max_tokens": (Word.MAX_TOKENS, _count(1)),
    "max_completion_tokens": (Word.MAX_TOKENS, _count(1)),
    "temperature": (Word.TEMPERATURE, _number(0, 2)),
    "top_p": (Word.TOP_P, _number(0, 1)),
    "top_k": (Word.TOP_K, _top_k),
    "stop": (Word.STOP, _stop),
    "seed": (Word.SEED, lambda node: node.integer()),
    "n": (Word.N, _count(1, 128, idle=1)),
    "presence_penalty": (Word.PRESENCE_PENALTY, _number(-2, 2, idle=0)),
    "frequency_penalty": (Word.FREQUENCY_PENALTY, _number(-2, 2, idle=0)),
    "logit_bias": (Word.LOGIT_BIAS, _bias),
    "logprobs": (Word.LOGPROBS, _flag(True)),
    "top_logprobs": (Word.TOP_LOGPROBS, _count(0, 20, idle=0)),
    "user": (Word.USER, _text),
    "safety_identifier": (Word.USER, _text),
    "metadata": (Word.METADATA, _words),
    "service_tier": (
        Word.SERVICE_TIER,
        _one_of("auto", "default", "flex", "scale", "priority", "fast", idle="auto"),
    ),
    "verbosity": (Word.VERBOSITY, _one_of("low", "medium", "high")),
    "parallel_tool_calls": (Word.PARALLEL_TOOL_CALLS, _flag(False)),
    "prediction": (Word.PREDICTION, lambda node: node.object()),
    "modalities": (Word.MODALITIES, _modalities),
    "audio": (Word.AUDIO, lambda node: node.object()),
    "web_search_options": (Word.WEB_SEARCH, lambda node: node.object()),
    "store": (Word.STORE, _flag(True)),
    "prompt_cache_key": (Word.PROMPT_CACHE_KEY, _text),
    "prompt_cache_retention": (Word.PROMPT_CACHE_RETENTION, _one_of("in_memory", "in-memory", "24h")),
}

# Every member that is read, and what for: docs/PARAMETERS.md is written from it.
MEMBERS: Mapping[str, str] = {
    "model": "the model",
    "messages": "the turns",
    "stream": "a stream or a whole answer",
    "stream_options": "`include_usage`",
    "tools": Word.TOOLS.value,
    "functions": Word.TOOLS.value,
    "tool_choice": "which tools",
    "function_call": "which tools",
    "response_format": "JSON answers",
    "reasoning_effort": Word.REASONING.value,
    "moderation": "refused",
    **{name: word.value for name, (word, _) in PARAMETERS.items()},
}
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


def parse_parameters(body: Node) -> tuple[dict[Word, Any], dict[Word, str]]:
    """What was said, by word, and the client's own name of a word where that is another."""
    said: dict[Word, Any] = {}
    spelling: dict[Word, str] = {}
    for name, (word, read) in PARAMETERS.items():
        member = body.get(name)
        value = None if member is None else read(member)
        if member is None or value is None:
            continue
        if word is Word.MAX_TOKENS and word in said:
            member.fail("and max_tokens cannot both be given")
        said[word] = value
        if name != word.value:
            spelling[word] = name
    _fit(body, said)
    return said, spelling


def _fit(body: Node, said: dict[Word, Any]) -> None:
    """What one member says of another."""
    if Word.TOP_LOGPROBS in said and Word.LOGPROBS not in said:
        body.need("top_logprobs").fail("needs logprobs to be true")
    if not (body.list_of("tools") or body.list_of("functions")):
        said.pop(Word.PARALLEL_TOOL_CALLS, None)
    if body.get("moderation") is not None:
        raise UnsupportedParameter(
            "'moderation' is done by OpenAI alone.",
            hint="Leave it out, or call the provider in transparent mode.",
            param="moderation",
        )
