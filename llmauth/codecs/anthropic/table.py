"""What becomes of every word in Anthropic's Messages, by model and by the place where it is served."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any, Literal

from llmauth.chat.words import Word
from llmauth.codecs.claude_models import ClaudeTraits
from llmauth.codecs.mapping import Dropped, Refused, Rule, Sent, Table
from llmauth.errors import UnsupportedParameter

Host = Literal["direct", "vertex"]

# "maxLength 256"
_LONGEST_USER = 256
_TELEPHONE = re.compile(r"\+?[\d\s().-]{7,}")
_NO_SAMPLING = Dropped("Claude 4.7 and later take no sampling parameters")
_NO_FORCING = Refused("this model cannot be forced to use a tool")


def _clamped(temperature: float) -> float:
    """OpenAI's scale ends at 2, Anthropic's at 1."""
    return min(max(temperature, 0), 1)


def _stops(stops: tuple[str, ...]) -> tuple[str, ...]:
    if any(not stop.strip() for stop in stops):
        raise UnsupportedParameter(
            "Anthropic takes no stop sequence of white space alone.",
            hint="Leave it out, or stop at something visible.",
            param=Word.STOP.value,
        )
    return stops


def _opaque(user: str) -> str:
    """What may be somebody's address or number goes as a digest of it, the same one each time.

    "user_id appears to contain an email address. Please send a uuid or hash value instead": Anthropic answers 400.
    """
    telling = "@" in user or _TELEPHONE.fullmatch(user) or len(user) > _LONGEST_USER
    return sha256(user.encode("utf-8", "surrogatepass")).hexdigest() if telling else user


def _tier(tier: str) -> str:
    """Priority capacity is used under `auto`, where there is some."""
    return "auto" if tier in ("auto", "priority") else "standard_only"


def _disabled(_: Any) -> bool:
    return True


TABLE: Table = {
    Word.MAX_TOKENS: Sent("max_tokens", note="required there: where it is absent, a limit of the model's is named"),
    Word.TEMPERATURE: Sent("temperature", _clamped, "above 1 is 1; left out while the model thinks"),
    Word.TOP_P: Sent("top_p", note="left out beside a temperature since Claude 4.1"),
    Word.TOP_K: Sent("top_k", note="left out while the model thinks"),
    Word.STOP: Sent("stop_sequences", _stops),
    Word.SEED: Dropped("there is no seed"),
    Word.N: Refused("it gives one answer"),
    Word.PRESENCE_PENALTY: Dropped(),
    Word.FREQUENCY_PENALTY: Dropped(),
    Word.LOGIT_BIAS: Dropped(),
    Word.LOGPROBS: Refused("it tells no log probabilities"),
    Word.TOP_LOGPROBS: Refused("it tells no log probabilities"),
    Word.USER: Sent("metadata.user_id", _opaque, "a mail address or telephone number as a digest of it"),
    Word.METADATA: Dropped(),
    Word.SERVICE_TIER: Sent("service_tier", _tier, "auto and priority: auto; others: standard_only"),
    Word.VERBOSITY: Dropped(),
    Word.PARALLEL_TOOL_CALLS: Sent("tool_choice.disable_parallel_tool_use", _disabled),
    Word.PREDICTION: Dropped("it only makes an answer faster"),
    Word.MODALITIES: Refused("it answers in text alone"),
    Word.AUDIO: Refused("it does not speak"),
    Word.WEB_SEARCH: Refused("its search is a tool of its own"),
    Word.STORE: Dropped("it keeps nothing"),
    Word.PROMPT_CACHE_KEY: Dropped("what is cached is marked in the prompt"),
    Word.PROMPT_CACHE_RETENTION: Dropped("what is cached is marked in the prompt"),
    Word.TRUNCATION: Dropped("it never truncates"),
    Word.SYSTEM: Sent("system"),
    Word.SYSTEM_LATER: Sent("messages", note="role system behind a user's turn, else a marked text of the user's"),
    Word.IMAGE_DATA: Sent("messages.content.image"),
    Word.IMAGE_URL: Sent("messages.content.image"),
    Word.DOCUMENT_DATA: Sent("messages.content.document", note="PDF or text"),
    Word.DOCUMENT_URL: Sent("messages.content.document"),
    Word.AUDIO_INPUT: Refused("it does not hear"),
    Word.TOOLS: Sent("tools", note="names that Anthropic does not allow are replaced, and put back in the answer"),
    Word.STRICT_TOOLS: Sent("tools.strict"),
    Word.TOOL_CHOICE_NONE: Sent("tool_choice.type none"),
    Word.TOOL_CHOICE_REQUIRED: Sent("tool_choice.type any"),
    Word.TOOL_CHOICE_NAMED: Sent("tool_choice.type tool"),
    Word.TOOL_ERROR: Sent("messages.content.tool_result.is_error"),
    Word.TOOL_RESULT_IMAGE: Sent("messages.content.tool_result.content"),
    Word.JSON_OBJECT: Sent("system", note="asked for in words"),
    Word.JSON_SCHEMA: Sent("output_config.format"),
    Word.REASONING: Sent("thinking, output_config.effort"),
    Word.THINKING_BACK: Sent("messages.content.thinking", note="Claude's own; that of others is left out"),
    Word.CACHE: Sent("cache_control"),
}

_OF_HOST: dict[Host, dict[Word, Rule]] = {
    "direct": {},
    "vertex": {Word.SERVICE_TIER: Dropped("it is Anthropic's own")},
}


def table_of(traits: ClaudeTraits, host: Host) -> Table:
    """The table of one model at one host."""
    return {**TABLE, **_of_traits(traits), **_OF_HOST[host]}


def _of_traits(traits: ClaudeTraits) -> dict[Word, Rule]:
    rules: dict[Word, Rule] = {}
    if not traits.sampling:
        rules |= dict.fromkeys((Word.TEMPERATURE, Word.TOP_P, Word.TOP_K), _NO_SAMPLING)
    if not traits.forced_tools:
        rules |= dict.fromkeys((Word.TOOL_CHOICE_REQUIRED, Word.TOOL_CHOICE_NAMED), _NO_FORCING)
    if not traits.thinking:
        rules[Word.REASONING] = Dropped("this model does not think")
    if not traits.structured:
        rules[Word.JSON_SCHEMA] = Sent("tools", note="asked for as the arguments of a forced tool")
        rules[Word.STRICT_TOOLS] = Dropped("Claude 4.5 and later check arguments")
    return rules
