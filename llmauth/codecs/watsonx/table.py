"""What becomes of each word at watsonx, which speaks OpenAI's chat with some words of its own and without others."""

from __future__ import annotations

from llmauth.chat.words import Word
from llmauth.codecs.mapping import Dropped, Refused, Sent, Table
from llmauth.codecs.openai.table import OPENAI_TABLE

TABLE: Table = {
    **OPENAI_TABLE,
    Word.MAX_TOKENS: Sent("max_tokens"),
    Word.TOP_K: Dropped(),
    Word.USER: Dropped(),
    Word.METADATA: Dropped(),
    Word.SERVICE_TIER: Dropped(),
    Word.VERBOSITY: Dropped(),
    Word.PARALLEL_TOOL_CALLS: Dropped(),
    Word.PREDICTION: Dropped(),
    Word.WEB_SEARCH: Refused(),
    Word.STORE: Dropped(),
    Word.PROMPT_CACHE_KEY: Dropped(),
    Word.PROMPT_CACHE_RETENTION: Dropped(),
    Word.SYSTEM: Sent("messages", note="a developer's as role system"),
    Word.SYSTEM_LATER: Sent("messages", note="where it stands"),
    Word.DOCUMENT_DATA: Refused("it reads no files"),
    Word.DOCUMENT_URL: Refused("it reads no files"),
    Word.AUDIO_INPUT: Refused("it hears nothing"),
    Word.STRICT_TOOLS: Dropped("schemas of tools are advice here"),
    Word.TOOL_CHOICE_NONE: Sent("tool_choice_option"),
    Word.TOOL_CHOICE_REQUIRED: Sent("tool_choice_option"),
    Word.TOOL_CHOICE_NAMED: Sent("tool_choice"),
    Word.REASONING: Sent(
        "reasoning_effort", note="the nearest of low, medium and high; none as include_reasoning of false"
    ),
    Word.CACHE: Dropped(),
}
