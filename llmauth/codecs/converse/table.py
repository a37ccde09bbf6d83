"""What becomes of every word in Converse, for each family of models."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from llmauth.chat.words import Word
from llmauth.codecs.converse.families import Family, Kind, family_of
from llmauth.codecs.converse.metadata import clean, clean_value
from llmauth.codecs.mapping import Dropped, Refused, Rule, Sent, Table
from llmauth.errors import UnsupportedParameter

_TIERS = {"auto": "default", "default": "default", "flex": "flex", "priority": "priority", "reserved": "reserved"}
_MOST_STOPS = 2500
_TOP_K = "additionalModelRequestFields.top_k"
_CHOICE = "toolConfig.toolChoice"
_SCHEMA_TOOL = Sent("toolConfig.tools", note="as a tool that must be called and whose input is the answer")


def _unit(value: float) -> float:
    return min(max(value, 0.0), 1.0)


def _stops(value: tuple[str, ...]) -> list[str]:
    """An empty one stops nothing, and Bedrock refuses it."""
    stops = [text for text in value if text]
    if len(stops) > _MOST_STOPS:
        raise UnsupportedParameter(f"Bedrock takes at most {_MOST_STOPS} stop sequences.", param=Word.STOP.value)
    return stops


def _tier(value: str) -> str:
    if value not in _TIERS:
        raise UnsupportedParameter(
            f"'{value[:50]}' is no service tier of Bedrock.",
            hint=f"Use one of {', '.join(_TIERS)}, or leave it out.",
            param=Word.SERVICE_TIER.value,
        )
    return _TIERS[value]


BASE: dict[Word, Rule] = {
    Word.MAX_TOKENS: Sent("inferenceConfig.maxTokens"),
    Word.TEMPERATURE: Sent("inferenceConfig.temperature", _unit, "what is above 1 is sent as 1"),
    Word.TOP_P: Sent("inferenceConfig.topP", _unit),
    Word.TOP_K: Dropped("Converse has no place for it that this family knows"),
    Word.STOP: Sent("inferenceConfig.stopSequences", _stops),
    Word.SEED: Dropped(),
    Word.N: Refused("one answer to a call"),
    Word.PRESENCE_PENALTY: Dropped(),
    Word.FREQUENCY_PENALTY: Dropped(),
    Word.LOGIT_BIAS: Dropped(),
    Word.LOGPROBS: Refused(),
    Word.TOP_LOGPROBS: Refused(),
    Word.USER: Sent("requestMetadata.user", clean_value, "in the characters that AWS allows"),
    Word.METADATA: Sent("requestMetadata", clean, "in the characters that AWS allows, 16 pairs with the user"),
    Word.SERVICE_TIER: Sent("serviceTier.type", _tier),
    Word.VERBOSITY: Dropped(),
    Word.PARALLEL_TOOL_CALLS: Dropped("only Claude can be told"),
    Word.PREDICTION: Dropped(),
    Word.MODALITIES: Refused("answers are text"),
    Word.AUDIO: Refused("answers are text"),
    Word.WEB_SEARCH: Refused(),
    Word.STORE: Dropped(),
    Word.PROMPT_CACHE_KEY: Dropped(),
    Word.PROMPT_CACHE_RETENTION: Dropped(),
    Word.TRUNCATION: Dropped(),
    Word.SYSTEM: Sent("system"),
    Word.SYSTEM_LATER: Sent("messages", note="as a marked text of the user's, at its place"),
    Word.IMAGE_DATA: Sent("messages.content.image", note="png, jpeg, gif or webp"),
    Word.IMAGE_URL: Refused("Converse takes an image as data only: send it as a data: URL"),
    Word.DOCUMENT_DATA: Sent("messages.content.document", note="under a cleaned name"),
    Word.DOCUMENT_URL: Refused("Converse takes a document as data only"),
    Word.AUDIO_INPUT: Sent("messages.content.audio"),
    Word.TOOLS: Sent("toolConfig.tools", note="names that AWS does not allow are replaced, and put back in the answer"),
    Word.STRICT_TOOLS: Sent("toolConfig.tools.toolSpec.strict"),
    Word.TOOL_CHOICE_NONE: Sent(_CHOICE, note="tools are left out; where earlier turns need them, an instruction"),
    Word.TOOL_CHOICE_REQUIRED: Sent(_CHOICE),
    Word.TOOL_CHOICE_NAMED: Sent(_CHOICE),
    # "This field is only supported by Amazon Nova and Anthropic Claude 3 and 4 models."
    Word.TOOL_ERROR: Dropped("only Claude and Nova can be told"),
    Word.TOOL_RESULT_IMAGE: Sent("messages.content.toolResult.content.image"),
    Word.JSON_OBJECT: Sent("system", note="as an instruction"),
    Word.JSON_SCHEMA: Sent("outputConfig.textFormat", note="models without structured output refuse it"),
    Word.REASONING: Dropped("this family has no such control"),
    Word.THINKING_BACK: Sent(
        "messages.content.reasoningContent", note="its own signed thinking; another's is left out"
    ),
    # "You invoked an unsupported model or your request did not allow prompt caching."
    Word.CACHE: Dropped("only Claude and Nova cache prompts"),
}

_CLAUDE: dict[Word, Rule] = {
    Word.AUDIO_INPUT: Refused("Claude does not hear"),
    Word.TOP_K: Sent(_TOP_K),
    Word.PARALLEL_TOOL_CALLS: Sent("additionalModelRequestFields.tool_choice.disable_parallel_tool_use"),
    Word.TOOL_ERROR: Sent("messages.content.toolResult.status"),
    Word.REASONING: Sent("additionalModelRequestFields.thinking", note="and output_config.effort on newer models"),
    Word.TOOL_CHOICE_NONE: Sent(
        _CHOICE, note="tools are left out; where earlier turns need them, additionalModelRequestFields.tool_choice"
    ),
    Word.CACHE: Sent("cachePoint", note="after the marked part"),
}
_NO_SAMPLING = Dropped("Claude 4.7 and later refuse it")
_NOVA: dict[Word, Rule] = {
    Word.TOOLS: Sent(
        "toolConfig.tools", note="of a schema `type`, `properties` and `required`; names as with other models"
    ),
    Word.TOP_K: Sent("additionalModelRequestFields.inferenceConfig.topK"),
    Word.STRICT_TOOLS: Dropped(),
    Word.TOOL_ERROR: Sent("messages.content.toolResult.status"),
    Word.JSON_SCHEMA: _SCHEMA_TOOL,
    Word.CACHE: Sent("cachePoint", note="after the marked part, five minutes; not in the list of tools"),
}
_KINDS: dict[Kind, dict[Word, Rule]] = {
    Kind.CLAUDE: _CLAUDE,
    Kind.NOVA: _NOVA,
    Kind.NOVA_2: {
        **_NOVA,
        Word.REASONING: Sent(
            "additionalModelRequestFields.reasoningConfig", note="low, medium or high; high only without limits"
        ),
    },
    Kind.GPT_OSS: {
        Word.REASONING: Sent("additionalModelRequestFields.reasoning_effort", note="low, medium or high"),
    },
    Kind.OTHER: {},
}


@lru_cache(maxsize=128)
def table_for(family: Family) -> Table:
    """The whole table of a family; of a Claude, that of the very model."""
    return {**BASE, **_KINDS[family.kind], **_of_a_claude(family)}


def _of_a_claude(family: Family) -> dict[Word, Rule]:
    rules: dict[Word, Rule] = {}
    traits = family.traits
    if traits is None:
        return rules
    if not traits.sampling:
        rules.update(dict.fromkeys((Word.TEMPERATURE, Word.TOP_P, Word.TOP_K), _NO_SAMPLING))
    if not traits.thinking:
        dropped = Dropped("this model has no extended thinking")
        rules.update(dict.fromkeys((Word.REASONING, Word.THINKING_BACK), dropped))
    if not traits.forced_tools:
        refused = Refused("this model cannot be made to call a tool")
        rules.update(dict.fromkeys((Word.TOOL_CHOICE_REQUIRED, Word.TOOL_CHOICE_NAMED), refused))
    if not traits.structured:
        rules[Word.JSON_SCHEMA] = _SCHEMA_TOOL
        rules[Word.STRICT_TOOLS] = Dropped("this model has no structured output")
    return rules


# Every table that there is, by a name for people and a model that it is of.
TABLES: Mapping[str, Table] = {
    name: table_for(family_of(model))
    for name, model in {
        "Claude 3 to 3.5": "anthropic.claude-3-haiku-20240307-v1:0",
        "Claude 3.7 to 4.1": "anthropic.claude-opus-4-1-20250805-v1:0",
        "Claude 4.5 and 4.6": "anthropic.claude-sonnet-4-5-20250929-v1:0",
        "Claude from 4.7": "anthropic.claude-opus-4-8",
        "Claude Fable and Mythos from 5.1": "anthropic.claude-fable-5-2",
        Kind.NOVA.value: "amazon.nova-pro-v1:0",
        Kind.NOVA_2.value: "amazon.nova-2-lite-v1:0",
        Kind.GPT_OSS.value: "openai.gpt-oss-120b-1:0",
        Kind.OTHER.value: "meta.llama3-70b-instruct-v1:0",
    }.items()
}
