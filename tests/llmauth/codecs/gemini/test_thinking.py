"""Efforts and budgets, in the words of each family."""

from dataclasses import replace

import pytest

from llmauth.chat.messages import Reasoning
from llmauth.codecs.gemini.thinking import Family, family, thinking_config


@pytest.mark.parametrize(
    ("model", "wanted"),
    [
        ("gemini-2.0-flash", Family.BUDGET),
        ("gemini-2.5-flash-lite", Family.BUDGET),
        ("gemini-3-pro-preview", Family.LEVEL),
        ("gemini-3.1-flash", Family.LEVEL),
        ("gemini-10-pro", Family.LEVEL),
        ("gemini-flash-latest", Family.LEVEL),
        ("1234567890", Family.BUDGET),
        ("gemma-latest", Family.BUDGET),
    ],
)
def test_families(model, wanted):
    assert family(model) is wanted


@pytest.mark.parametrize(
    ("model", "reasoning", "max_tokens", "wanted"),
    [
        ("gemini-2.5-flash", Reasoning("none"), None, 0),
        ("gemini-2.5-pro", Reasoning("none"), None, 128),
        ("gemini-2.5-flash", Reasoning("minimal"), None, 128),
        ("gemini-2.5-flash-lite", Reasoning("minimal"), None, 512),
        ("gemini-2.5-flash", Reasoning("high"), None, 4096),
        ("gemini-2.5-flash", Reasoning("max"), None, 24576),
        ("gemini-2.5-pro", Reasoning("max"), 10000, 9999),
        ("gemini-2.5-pro", Reasoning("max"), 100, 128),
        ("gemini-2.5-flash-lite", Reasoning("high"), 100, 0),
        ("gemini-2.5-flash", Reasoning("high"), 1, 0),
        ("gemini-2.5-flash", Reasoning(), None, -1),
        ("gemini-2.5-flash", Reasoning("low", 5000), None, 5000),
        ("gemini-2.5-flash", Reasoning("none", 5000), None, 0),
        ("gemini-2.5-flash", Reasoning(budget=10**9), None, 24576),
    ],
)
def test_budgets(model, reasoning, max_tokens, wanted):
    assert thinking_config(replace(reasoning, shown=False), model, max_tokens)["thinkingBudget"] == wanted


@pytest.mark.parametrize(
    ("model", "reasoning", "wanted"),
    [
        ("gemini-3-flash", Reasoning("none"), "MINIMAL"),
        ("gemini-3-pro", Reasoning("none"), "LOW"),
        ("gemini-3-pro", Reasoning("minimal"), "LOW"),
        ("gemini-3-flash", Reasoning("medium"), "MEDIUM"),
        ("gemini-3-flash", Reasoning("xhigh"), "XHIGH"),
        ("gemini-3-flash", Reasoning("max"), "XHIGH"),
        ("gemini-3-flash", Reasoning(budget=0), "MINIMAL"),
        ("gemini-3-flash", Reasoning(budget=1024), "LOW"),
        ("gemini-3-flash", Reasoning(budget=2000), "MEDIUM"),
        ("gemini-3-flash", Reasoning(budget=31999), "HIGH"),
        ("gemini-3-flash", Reasoning("low", 31999), "LOW"),
    ],
)
def test_levels(model, reasoning, wanted):
    assert thinking_config(replace(reasoning, shown=False), model, 10)["thinkingLevel"] == wanted


def test_thoughts_are_shown_or_not_where_that_was_said_and_there_are_any():
    assert thinking_config(Reasoning(shown=True), "gemini-3-pro", None) == {"includeThoughts": True}
    assert thinking_config(Reasoning(shown=False), "gemini-3-pro", None) == {"includeThoughts": False}
    assert thinking_config(Reasoning(budget=2000), "gemini-3-pro", None)["includeThoughts"] is True
    assert thinking_config(Reasoning(budget=2000, shown=False), "gemini-3-pro", None)["includeThoughts"] is False
    assert thinking_config(Reasoning(), "gemini-3-pro", None) == {}
    assert thinking_config(Reasoning("none", shown=True), "gemini-2.5-flash", None) == {"thinkingBudget": 0}
