"""Conversions that Oracle's formats share."""

import pytest

from llmauth.chat.messages import Message, Reasoning, Redacted, Signature, Thinking, ToolCall
from llmauth.chat.words import Word
from llmauth.codecs.mapping import Dropped, Sent
from llmauth.codecs.oracle import rules
from llmauth.errors import UnsupportedParameter

SIGNED = Thinking("theirs", Signature("anthropic", "s"))


def test_only_thinking_without_a_signature_is_oracles():
    assert rules.own_thinking([SIGNED, Thinking("ours"), Redacted(Signature("openai", "r"))]) == "ours"
    table = {Word.THINKING_BACK: Sent("there")}
    assert rules.without_foreign_thinking(table, [Message("assistant", (Thinking("ours"), SIGNED))]) is table
    changed = rules.without_foreign_thinking(table, [Message("assistant", (SIGNED,))])
    assert isinstance(changed[Word.THINKING_BACK], Dropped)


@pytest.mark.parametrize("value", ["flex", 5, None, ["auto"]])
def test_words_that_oracle_does_not_know_are_refused(value):
    convert = rules.upper(Word.SERVICE_TIER, "AUTO", "DEFAULT")
    assert convert("auto") == "AUTO"
    with pytest.raises(UnsupportedParameter, match="is not supported by Oracle") as caught:
        convert(value)
    assert (caught.value.param, caught.value.hint) == ("service_tier", "It takes auto, default.")


def test_numbers_are_brought_within_their_range():
    assert [rules.within(0, 1)(value) for value in (-2, 0.5, 2)] == [0, 0.5, 1]


def test_arguments():
    assert rules.arguments_of(ToolCall("c", "f", "")) == {}
    assert rules.arguments_of(ToolCall("c", "f", '{"a":1}')) == {"a": 1}


def test_an_effort_that_is_said_counts_more_than_a_budget():
    assert rules.effort_of(Reasoning("low", 100_000)) == "low"
    assert rules.effort_of(Reasoning(shown=True)) is None
