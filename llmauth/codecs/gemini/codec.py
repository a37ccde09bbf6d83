"""Gemini on Vertex AI as a provider: its table of words, and the codec that reads it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from llmauth.chat.messages import ChatRequest, ChatResponse
from llmauth.chat.words import Word
from llmauth.codecs.base import Asked, StreamDecoder, to_json
from llmauth.codecs.gemini.errors import refusal_of
from llmauth.codecs.gemini.request import structure
from llmauth.codecs.gemini.response import parse_response
from llmauth.codecs.gemini.stream import GeminiDecoder
from llmauth.codecs.gemini.thinking import Family, family
from llmauth.codecs.mapping import Dropped, Ignored, Refused, Sent, Table, admit, apply
from llmauth.errors import UnsupportedParameter, UpstreamError
from llmauth.http import Headers

_TIERS = {"default": "standard", "standard": "standard", "flex": "flex", "priority": "priority"}
_NO_LABEL = re.compile(r"[^a-z0-9_-]")
_SEEDS = 2**31


def _seed(value: int) -> int:
    """A seed is an int32 there; a larger one still stands for the same answer each time."""
    return value if -_SEEDS <= value < _SEEDS else value % _SEEDS


def _tier(value: str) -> str:
    if value not in _TIERS:
        raise UnsupportedParameter(
            f"Gemini has no service tier '{value[:50]}'.",
            hint=f"Use one of auto, {', '.join(_TIERS)}.",
            param=Word.SERVICE_TIER.value,
        )
    return _TIERS[value]


def _label(value: str) -> str:
    """ "Label values … can contain only lowercase letters, numeric characters, underscores, and dashes", at most 63."""
    return _NO_LABEL.sub("_", value.lower())[:63]


_NO_OUTPUT_BUT_TEXT = Refused("answers are text")

_SHARED: dict[Word, Any] = {
    Word.MAX_TOKENS: Sent("generationConfig.maxOutputTokens"),
    Word.TEMPERATURE: Sent("generationConfig.temperature"),
    Word.TOP_P: Sent("generationConfig.topP"),
    Word.TOP_K: Sent("generationConfig.topK"),
    Word.STOP: Sent("generationConfig.stopSequences"),
    Word.SEED: Sent("generationConfig.seed", _seed),
    Word.N: Sent("generationConfig.candidateCount"),
    Word.PRESENCE_PENALTY: Sent("generationConfig.presencePenalty"),
    Word.FREQUENCY_PENALTY: Sent("generationConfig.frequencyPenalty"),
    Word.LOGIT_BIAS: Dropped(),
    Word.LOGPROBS: Sent("generationConfig.responseLogprobs"),
    Word.TOP_LOGPROBS: Sent("generationConfig.logprobs"),
    Word.USER: Sent("labels.user", _label, "in lower case, with `_` for what a label may not hold"),
    Word.METADATA: Dropped(),
    Word.SERVICE_TIER: Sent("serviceTier", _tier, "auto is not said, default is standard"),
    Word.VERBOSITY: Dropped(),
    Word.PARALLEL_TOOL_CALLS: Dropped("the model may ask for several tools at once"),
    Word.PREDICTION: Dropped(),
    Word.MODALITIES: _NO_OUTPUT_BUT_TEXT,
    Word.AUDIO: _NO_OUTPUT_BUT_TEXT,
    Word.WEB_SEARCH: Refused("searching is left to the native API's googleSearch tool"),
    Word.STORE: Dropped("nothing is stored"),
    Word.PROMPT_CACHE_KEY: Ignored("equal beginnings are cached unasked"),
    Word.PROMPT_CACHE_RETENTION: Dropped(),
    Word.TRUNCATION: Dropped(),
    Word.SYSTEM: Sent("systemInstruction.parts"),
    Word.SYSTEM_LATER: Sent("contents.parts.text", note="as a marked text of the user's"),
    Word.IMAGE_DATA: Sent("contents.parts.inlineData"),
    Word.IMAGE_URL: Sent("contents.parts.fileData", note="the media type is told by the link's suffix"),
    Word.DOCUMENT_DATA: Sent("contents.parts.inlineData"),
    Word.DOCUMENT_URL: Sent("contents.parts.fileData", note="the media type is told by the link's suffix"),
    Word.AUDIO_INPUT: Sent("contents.parts.inlineData"),
    Word.TOOLS: Sent("tools.functionDeclarations"),
    Word.STRICT_TOOLS: Sent("toolConfig.functionCallingConfig.mode", note="VALIDATED, for all tools"),
    Word.TOOL_CHOICE_NONE: Sent("toolConfig.functionCallingConfig.mode", note="NONE"),
    Word.TOOL_CHOICE_REQUIRED: Sent("toolConfig.functionCallingConfig.mode", note="ANY"),
    Word.TOOL_CHOICE_NAMED: Sent("toolConfig.functionCallingConfig.allowedFunctionNames", note="with mode ANY"),
    Word.TOOL_ERROR: Sent("contents.parts.functionResponse.response.error"),
    Word.JSON_OBJECT: Sent("generationConfig.responseMimeType"),
    Word.JSON_SCHEMA: Sent("generationConfig.responseJsonSchema"),
    Word.THINKING_BACK: Sent(
        "contents.parts.thoughtSignature", note="only signatures of Gemini; a Gemini 3's lost one is made good"
    ),
    Word.CACHE: Ignored("equal beginnings are cached unasked"),
}

# Until Gemini 2.5, and for models whose name tells nothing.
TABLE: Table = {
    **_SHARED,
    Word.TOOL_RESULT_IMAGE: Sent("contents.parts.inlineData", note="after the results"),
    Word.REASONING: Sent("generationConfig.thinkingConfig.thinkingBudget", note="an effort as a number of tokens"),
}
_NO_PENALTY = Dropped("Gemini 3 takes no penalties")
LEVEL_TABLE: Table = {
    **_SHARED,
    # 400: "Penalty is not enabled for this model".
    Word.PRESENCE_PENALTY: _NO_PENALTY,
    Word.FREQUENCY_PENALTY: _NO_PENALTY,
    Word.TOOL_RESULT_IMAGE: Sent("contents.parts.functionResponse.parts"),
    Word.REASONING: Sent(
        "generationConfig.thinkingConfig.thinkingLevel", note="a budget as the level above it; none as the lowest"
    ),
}
TABLES: Mapping[str, Table] = {Family.BUDGET.value: TABLE, Family.LEVEL.value: LEVEL_TABLE}


@dataclass(frozen=True, slots=True)
class GeminiProvider:
    """`model` as the path of the call names it; what comes before its last `/` does not matter here."""

    model: str
    name: str = "Gemini"

    @property
    def table(self) -> Table:
        """The one of the model's family."""
        return TABLES[family(self._own_name).value]

    @property
    def _own_name(self) -> str:
        return self.model.rpartition("/")[2].lower()

    def render_request(self, request: ChatRequest, *, strict: bool = False) -> Asked:
        """The body for `:generateContent` and for `:streamGenerateContent?alt=sse`, which are the same."""
        request = _said(request)
        admitted = admit(request, self.table, provider=self.name, strict=strict)
        body = structure(request, admitted, self._own_name)
        apply(body, admitted, self.table)
        return Asked(body=to_json(body), dropped=admitted.dropped)

    def parse_response(self, body: bytes) -> ChatResponse:
        """The answer to `:generateContent`."""
        return parse_response(body)

    def stream_decoder(self) -> StreamDecoder:
        """For `alt=sse`; the other form, an array that grows, is never asked for."""
        return GeminiDecoder()

    def parse_error(self, status: int, headers: Headers, body: bytes) -> UpstreamError:
        """From Google's error object, alone or in an array of one."""
        return refusal_of(status, headers, body)


def _said(request: ChatRequest) -> ChatRequest:
    """Without a tier that is what Google does unasked."""
    if request.parameters.get(Word.SERVICE_TIER) != "auto":
        return request
    kept: dict[Word, Any] = {word: value for word, value in request.parameters.items() if word is not Word.SERVICE_TIER}
    return replace(request, parameters=kept)
