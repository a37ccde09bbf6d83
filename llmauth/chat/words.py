"""The neutral vocabulary: everything that a chat request may say beside its text, each by one word."""

from __future__ import annotations

from enum import Enum


class Word(Enum):
    """What is asked for. A codec's table says of each what becomes of it; the value is its everyday name.

    Values that change nothing (`n` of 1, `logprobs` of false) are not said at all: a client codec leaves them out.
    """

    # Parameters: members of `ChatRequest.parameters`, with the type of their value.
    MAX_TOKENS = "max_tokens"  # int, at least 1
    TEMPERATURE = "temperature"  # float, 0 to 2
    TOP_P = "top_p"  # float
    TOP_K = "top_k"  # int
    STOP = "stop"  # tuple of str
    SEED = "seed"  # int
    N = "n"  # int, at least 2
    PRESENCE_PENALTY = "presence_penalty"  # float
    FREQUENCY_PENALTY = "frequency_penalty"  # float
    LOGIT_BIAS = "logit_bias"  # dict
    LOGPROBS = "logprobs"  # True
    TOP_LOGPROBS = "top_logprobs"  # int
    USER = "user"  # str: who the end user is
    METADATA = "metadata"  # dict of str
    SERVICE_TIER = "service_tier"  # str, as OpenAI names tiers: auto, default, flex, priority …
    VERBOSITY = "verbosity"  # low, medium, high
    PARALLEL_TOOL_CALLS = "parallel_tool_calls"  # False
    PREDICTION = "prediction"  # dict
    MODALITIES = "modalities"  # tuple of str, other than text alone
    AUDIO = "audio"  # dict: the form of spoken answers
    WEB_SEARCH = "web_search_options"  # dict
    STORE = "store"  # True
    PROMPT_CACHE_KEY = "prompt_cache_key"  # str
    PROMPT_CACHE_RETENTION = "prompt_cache_retention"  # str
    TRUNCATION = "truncation"  # str

    # Features: told by the shape of the request itself.
    SYSTEM = "system"
    SYSTEM_LATER = "system message after the first turn"
    IMAGE_DATA = "image"
    IMAGE_URL = "image by URL"
    DOCUMENT_DATA = "document"
    DOCUMENT_URL = "document by URL"
    AUDIO_INPUT = "input_audio"
    TOOLS = "tools"
    STRICT_TOOLS = "strict"
    TOOL_CHOICE_NONE = "tool_choice none"
    TOOL_CHOICE_REQUIRED = "tool_choice required"
    TOOL_CHOICE_NAMED = "tool_choice naming a tool"
    TOOL_ERROR = "error in a tool's result"
    TOOL_RESULT_IMAGE = "image in a tool's result"
    JSON_OBJECT = "response_format json_object"
    JSON_SCHEMA = "response_format json_schema"
    REASONING = "reasoning_effort"
    THINKING_BACK = "thinking of earlier turns"
    CACHE = "cache_control"


_ORDER = list(Word)
PARAMETERS: tuple[Word, ...] = tuple(_ORDER[: _ORDER.index(Word.SYSTEM)])
FEATURES: tuple[Word, ...] = tuple(_ORDER[_ORDER.index(Word.SYSTEM) :])
