"""What one may do, in the words of a terminal, whatever a proxy says."""

from __future__ import annotations

import pytest

from llmauth.cli.allowed import in_words

NOTHING = dict.fromkeys(("models", "instances", "protocols", "hosts", "methods", "rpm", "tpm", "concurrent", "budget"))


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (None, ""),
        ({}, "all models"),
        (NOTHING, "all models"),
        ({"models": ["*"]}, "all models"),
        ({"models": []}, "no model"),
        (
            {"models": ["claude-*", "gpt-5*"], "budget": {"amount": "40", "per": "day"}},
            "claude-*, gpt-5*, budget 40/day",
        ),
        ({"rpm": 60, "tpm": 1000, "concurrent": 5}, "all models, 60 requests/min, 1000 tokens/min, 5 at a time"),
        ({"instances": ["openai"], "methods": []}, "all models, instances openai, by none"),
        ({"models": ["\x1b[2J"], "rpm": True}, "\N{REPLACEMENT CHARACTER}[2J"),
    ],
)
def test_in_words(told: object, words: str) -> None:
    assert in_words(told) == words
