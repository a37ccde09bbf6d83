"""Families of models on Bedrock: Converse is one form for all of them, and each takes a different part of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from llmauth.chat.messages import Origin
from llmauth.codecs.claude_models import ClaudeTraits, claude_traits, is_claude


class Kind(Enum):
    """What decides how a thing is said."""

    CLAUDE = "Claude"
    NOVA = "Amazon Nova"
    NOVA_2 = "Amazon Nova 2"
    GPT_OSS = "OpenAI gpt-oss"
    OTHER = "other models"


# "amazon.nova-2-lite-v1:0" behind the geography of an inference profile or behind an ARN.
_KINDS = (
    (re.compile(r"(?:^|[./])amazon\.nova-2"), Kind.NOVA_2),
    (re.compile(r"(?:^|[./])amazon\.nova-"), Kind.NOVA),
    (re.compile(r"(?:^|[./])openai\.gpt-oss"), Kind.GPT_OSS),
)


@dataclass(frozen=True, slots=True)
class Family:
    """A family; `traits` are those of the very model, for a Claude alone."""

    kind: Kind
    traits: ClaudeTraits | None = None

    @property
    def origin(self) -> Origin:
        """Whose signatures its thinking carries: Claude's hold at Anthropic and on Vertex too."""
        return "anthropic" if self.kind is Kind.CLAUDE else "bedrock"

    @property
    def knows_thinking(self) -> bool:
        """Whether thinking of earlier turns may be sent back: a Claude before 3.7 has never heard of it."""
        return self.traits is None or self.traits.thinking

    @property
    def schema_by_tool(self) -> bool:
        """Whether an answer that fits a schema is had by a tool that must be called, for lack of a better way."""
        return self.kind in (Kind.NOVA, Kind.NOVA_2) or (self.traits is not None and not self.traits.structured)

    @property
    def caches_tools(self) -> bool:
        """Nova: "#/toolConfig/tools/0: extraneous key [cachePoint] is not permitted"."""
        return self.kind is Kind.CLAUDE


@lru_cache(maxsize=512)
def family_of(model: str) -> Family:
    """By a model id, an inference profile id or an ARN; an ARN that hides its model is of no family that we know."""
    if is_claude(model):
        return Family(Kind.CLAUDE, claude_traits(model))
    return Family(next((kind for pattern, kind in _KINDS if pattern.search(model)), Kind.OTHER))
