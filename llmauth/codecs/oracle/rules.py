"""Rules and conversions that several of Oracle's formats share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from llmauth.chat.messages import Image, Link, Message, Part, Reasoning, Refusal, Text, Thinking, Tool, ToolCall
from llmauth.chat.words import Word
from llmauth.codecs.mapping import Dropped, Refused, Table
from llmauth.codecs.reading import Malformed
from llmauth.errors import BadRequest, UnsupportedParameter

_FOREIGN = "what another family of models signed is of no use to this one"

# What no format of Oracle's can say.
SHARED: Table = {
    Word.MODALITIES: Refused("answers are text"),
    Word.AUDIO: Refused("answers are text"),
    Word.USER: Dropped(),
    Word.STORE: Dropped(),
    Word.PROMPT_CACHE_KEY: Dropped(),
    Word.PROMPT_CACHE_RETENTION: Dropped(),
    Word.TRUNCATION: Dropped(),
    Word.STRICT_TOOLS: Dropped("schemas of tools are advice here"),
    Word.CACHE: Dropped(),
}


def without_foreign_thinking(table: Table, messages: Iterable[Message]) -> Table:
    """The table for a request none of whose earlier thinking may be sent."""
    if any(own_thinking(message.parts) for message in messages):
        return table
    return {**table, Word.THINKING_BACK: Dropped(_FOREIGN)}


def own_thinking(parts: Iterable[Part]) -> str:
    """Thinking that came from here: Oracle's models sign nothing."""
    return "".join(part.text for part in parts if isinstance(part, Thinking) and part.signature is None)


def words(parts: Iterable[Part], between: str = "") -> str:
    """The texts of a message, and what a model said instead of an answer."""
    return between.join(part.text for part in parts if isinstance(part, Text | Refusal))


def upper(word: Word, *allowed: str) -> Callable[[Any], str]:
    """A conversion: a word of OpenAI's to Oracle's, which are of upper case; UnsupportedParameter for others."""

    def convert(value: Any) -> str:
        if not isinstance(value, str) or value.upper() not in allowed:
            raise UnsupportedParameter(
                f"'{word.value}' of '{str(value)[:50]}' is not supported by Oracle.",
                hint=f"It takes {', '.join(one.lower() for one in allowed)}.",
                param=word.value,
            )
        return value.upper()

    return convert


def within(least: float, most: float) -> Callable[[float], float]:
    """A conversion: the nearest number that is allowed."""
    return lambda value: min(max(value, least), most)


def read_by(reading: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A conversion of an object: BadRequest for what is malformed in it."""

    def convert(value: Any) -> Any:
        try:
            return reading(value)
        except Malformed as malformed:
            raise BadRequest(f"{malformed}.", code="invalid_request", param=malformed.place) from None

    return convert


def schema_of(tool: Tool) -> dict[str, Any]:
    """The schema of a tool's arguments: a tool without one takes none."""
    return dict(tool.schema) or {"type": "object", "properties": {}}


def arguments_of(call: ToolCall) -> dict[str, Any]:
    """The arguments of a call as an object; BadRequest where they are none."""
    try:
        arguments = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        raise BadRequest(
            f"The arguments of the call '{call.id[:80]}' are no JSON object.", code="invalid_request", param="messages"
        )
    return arguments


def image_url(image: Image) -> dict[str, Any]:
    """A picture as a URL, with its detail where the client asked for one that Oracle knows."""
    detail = (image.detail or "").upper()
    return {"url": url_of(image), **({"detail": detail} if detail in ("AUTO", "HIGH", "LOW") else {})}


def url_of(image: Image) -> str:
    """A link as it is, data as a data URL."""
    source = image.source
    return source.url if isinstance(source, Link) else f"data:{source.media_type};base64,{source.base64}"


def effort_of(reasoning: Reasoning) -> str | None:
    """The effort that was asked for, or the one that a budget comes to; none where the model is to choose."""
    if reasoning.effort is not None or reasoning.budget is None:
        return reasoning.effort
    steps: Mapping[str, int] = {"minimal": 1024, "low": 2048, "medium": 4096}
    return next((effort for effort, below in steps.items() if reasoning.budget < below), "high")
