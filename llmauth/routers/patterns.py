"""Whose model it is, told by its id alone: the last resort before a model is called unknown."""

from __future__ import annotations

import re
from collections.abc import Iterator

from llmauth.context import ProviderType

# Ids that begin as another provider's do are in none of these (`cohere.`, `meta.`: Bedrock's and Oracle's): for those
# the configuration has to say who answers.
_PATTERNS: tuple[tuple[ProviderType, str], ...] = (
    (
        "openai",
        r"gpt-(?!oss).+|chatgpt-.+|o[134](-.+)?|text-embedding-(3-.+|ada-002)|dall-e-.+|gpt-image-.+|whisper-1|tts-.+"
        r"|codex-.+",
    ),
    ("vertex", r"claude-.+@.+|(gemini|gemma)-.+|text-embedding-00\d|text-multilingual-embedding-.+|google/.+"),
    ("anthropic", r"claude-.+"),
    (
        "bedrock",
        r"(us|us-gov|eu|apac|jp|au|in|global)\.[a-z0-9-]+\..+"
        r"|(anthropic|amazon|ai21|mistral|deepseek|qwen|stability|writer|twelvelabs|nvidia|minimax|moonshot(ai)?|zai)\..+"
        r"|arn:aws[a-z-]*:bedrock:.+",
    ),
    ("oracle", r"xai\..+"),
    ("ibm", r"ibm/.+|meta-llama/.+|mistralai/.+|openai/gpt-oss.*"),
)
_COMPILED = tuple((provider, re.compile(pattern)) for provider, pattern in _PATTERNS)


def providers_of(model: str) -> Iterator[ProviderType]:
    """The types whose ids look like this one, the likeliest first."""
    return (provider for provider, pattern in _COMPILED if pattern.fullmatch(model))
