"""What becomes of each word at those who speak OpenAI's chat: OpenAI itself and Azure, and servers that are like it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from llmauth.chat.messages import Origin, Reasoning
from llmauth.chat.words import Word
from llmauth.codecs.mapping import Dropped, Ignored, Refused, Rule, Sent, Table
from llmauth.errors import UnsupportedParameter

# "reasoning models (o-series, gpt-5 and later) accept only max_completion_tokens"
_REASONING = re.compile(r"(?:.*/)?(?:o\d|gpt-(?:[5-9]|\d\d))")
# "Unrecognized request argument supplied: reasoning_effort" is what these say of every value.
_THOUGHTLESS = re.compile(r"(?:.*/)?(?:chat)?gpt-[34]")
# "Not all reasoning models support every value": what "none" is to those that do not know it.
_NONE = (
    (re.compile(r"(?:.*/)?o\d"), "low"),
    (re.compile(r"(?:.*/)?gpt-5(?:-mini|-nano)?(?:-\d{4}-\d\d-\d\d)?$"), "minimal"),
)
_MOST_STOPS = 4
# "Expected a string with maximum length 64": Claude Code's users are JSON of twice that.
_LONGEST_USER = 64


def at_most_four(stops: tuple[str, ...]) -> tuple[str, ...]:
    """ "Up to 4 sequences where the API will stop generating further tokens." """
    if len(stops) <= _MOST_STOPS:
        return stops
    raise UnsupportedParameter(
        f"{len(stops)} stop sequences were asked for, and OpenAI's chat format takes {_MOST_STOPS}.",
        hint="Leave some out.",
        param=Word.STOP.value,
    )


def short_user(user: str) -> str:
    """One that is too long by its SHA-256, which is just not: "we recommend hashing" is what OpenAI says of all."""
    return user if len(user) <= _LONGEST_USER else hashlib.sha256(user.encode("utf-8", "surrogatepass")).hexdigest()


def effort_of(reasoning: Reasoning) -> str | None:
    """A budget of tokens as the effort nearest to it; None where neither was said."""
    if reasoning.effort is not None or reasoning.budget is None:
        return reasoning.effort
    if reasoning.budget <= 0:
        return "none"
    return "low" if reasoning.budget <= 1024 else "medium" if reasoning.budget <= 2048 else "high"


def effort_for(reasoning: Reasoning, model: str) -> str | None:
    """The effort as a model knows it: one that cannot be kept from thinking is asked to think as little as it can."""
    effort = effort_of(reasoning)
    return effort if effort != "none" else next((least for names, least in _NONE if names.match(model)), effort)


OPENAI_TABLE: Table = {
    Word.MAX_TOKENS: Sent("max_tokens"),
    Word.TEMPERATURE: Sent("temperature"),
    Word.TOP_P: Sent("top_p"),
    Word.TOP_K: Dropped("OpenAI has no such parameter"),
    Word.STOP: Sent("stop", at_most_four, "at most four"),
    Word.SEED: Sent("seed"),
    Word.N: Sent("n"),
    Word.PRESENCE_PENALTY: Sent("presence_penalty"),
    Word.FREQUENCY_PENALTY: Sent("frequency_penalty"),
    Word.LOGIT_BIAS: Sent("logit_bias"),
    Word.LOGPROBS: Sent("logprobs"),
    Word.TOP_LOGPROBS: Sent("top_logprobs"),
    Word.USER: Sent("user", short_user, "its SHA-256 where it is longer than 64 characters"),
    Word.METADATA: Sent("metadata"),
    Word.SERVICE_TIER: Sent("service_tier"),
    Word.VERBOSITY: Sent("verbosity"),
    Word.PARALLEL_TOOL_CALLS: Sent("parallel_tool_calls"),
    Word.PREDICTION: Sent("prediction"),
    Word.MODALITIES: Refused("only text is translated; call it in transparent mode"),
    Word.AUDIO: Refused("spoken answers are not translated; call it in transparent mode"),
    Word.WEB_SEARCH: Sent("web_search_options"),
    Word.STORE: Sent("store"),
    Word.PROMPT_CACHE_KEY: Sent("prompt_cache_key"),
    Word.PROMPT_CACHE_RETENTION: Sent("prompt_cache_retention"),
    Word.TRUNCATION: Dropped("a prompt that is too long is refused"),
    Word.SYSTEM: Sent("messages"),
    Word.SYSTEM_LATER: Sent("messages"),
    Word.IMAGE_DATA: Sent("messages.content.image_url"),
    Word.IMAGE_URL: Sent("messages.content.image_url"),
    Word.DOCUMENT_DATA: Sent("messages.content.file", note="plain text as text"),
    Word.DOCUMENT_URL: Refused("files are sent as data"),
    Word.AUDIO_INPUT: Sent("messages.content.input_audio"),
    Word.TOOLS: Sent("tools"),
    Word.STRICT_TOOLS: Sent("tools.function.strict"),
    Word.TOOL_CHOICE_NONE: Sent("tool_choice"),
    Word.TOOL_CHOICE_REQUIRED: Sent("tool_choice"),
    Word.TOOL_CHOICE_NAMED: Sent("tool_choice"),
    Word.TOOL_ERROR: Dropped("only the text of a result can tell of an error"),
    Word.TOOL_RESULT_IMAGE: Sent("messages", note="in a turn of the user's that follows"),
    Word.JSON_OBJECT: Sent("response_format"),
    Word.JSON_SCHEMA: Sent("response_format"),
    Word.REASONING: Sent(
        "reasoning_effort", note="a budget as the nearest of low, medium and high; none as the least that a model knows"
    ),
    Word.THINKING_BACK: Dropped("the format has no place for it"),
    Word.CACHE: Ignored("prompts are cached unasked"),
}

_LATER: Mapping[Word, Rule] = {
    Word.MAX_TOKENS: Sent("max_completion_tokens"),
    # "Unsupported value: 'temperature' does not support 0.5 with this model. Only the default (1) value is supported."
    Word.TEMPERATURE: Dropped("models that think take no other than their own"),
    Word.TOP_P: Dropped("models that think take no other than their own"),
}
_UNTHINKING: Mapping[Word, Rule] = {Word.REASONING: Dropped("these do not think")}

# What only OpenAI has. What is left is what vLLM, Ollama, DeepSeek, Mistral and others take.
_ELSEWHERE: Mapping[Word, Rule] = {
    Word.TOP_K: Sent("top_k"),
    Word.METADATA: Dropped(),
    Word.SERVICE_TIER: Dropped(),
    Word.VERBOSITY: Dropped(),
    Word.PREDICTION: Dropped(),
    Word.WEB_SEARCH: Refused(),
    Word.STORE: Dropped(),
    Word.PROMPT_CACHE_KEY: Dropped(),
    Word.PROMPT_CACHE_RETENTION: Dropped(),
}

# The extensions that gateways write and read: other LLM proxies, and this one.
_EXTENDED: Mapping[Word, Rule] = {
    Word.THINKING_BACK: Sent("messages.thinking_blocks", note="or reasoning_content, where it is not signed"),
    Word.CACHE: Sent("cache_control"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How one kind of server speaks OpenAI's chat; `family` is the models', whose signatures are kept."""

    name: str
    provider: str  # in refusals
    table: Table
    family: Origin = "openai"
    developer: str = "developer"  # the role that developers speak in
    joined: bool = False  # system, assistant and tool turns hold one string
    done_required: bool = True

    def table_of(self, model: str) -> Table:
        """The table for a model: later ones of OpenAI's renamed a parameter, and earlier ones lack one."""
        if _THOUGHTLESS.match(model):
            return {**self.table, **_UNTHINKING}
        return {**self.table, **_LATER} if is_reasoning(model) else self.table


OPENAI = Dialect(name="openai", provider="OpenAI", table=OPENAI_TABLE)
AZURE = Dialect(name="azure", provider="Azure OpenAI", table=OPENAI_TABLE)
COMPATIBLE = Dialect(
    name="openai_compatible",
    provider="this provider",
    table={**OPENAI_TABLE, **_ELSEWHERE},
    developer="system",
)
EXTENDED = Dialect(
    name="openai_extended",
    provider="this provider",
    table={**OPENAI_TABLE, **_ELSEWHERE, **_EXTENDED},
)
DIALECTS: Mapping[str, Dialect] = {dialect.name: dialect for dialect in (OPENAI, AZURE, COMPATIBLE, EXTENDED)}


def is_reasoning(model: str) -> bool:
    """Whether this is one of OpenAI's models that think: o1 and later, gpt-5 and later."""
    return _REASONING.match(model) is not None
