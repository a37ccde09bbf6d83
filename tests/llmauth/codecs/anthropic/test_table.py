"""The table knows every word, for every model at every host."""

import pytest

from llmauth.chat.words import Word
from llmauth.codecs.anthropic.table import TABLE, table_of
from llmauth.codecs.claude_models import claude_traits
from llmauth.codecs.mapping import Dropped, Refused, Sent, complete

MODELS = ["claude-3-haiku-20240307", "claude-opus-4-1", "claude-sonnet-4-5", "claude-opus-4-8", "claude-fable-5-2"]


@pytest.mark.parametrize("host", ["direct", "vertex"])
@pytest.mark.parametrize("model", MODELS)
def test_no_word_is_forgotten(model, host):
    assert complete(table_of(claude_traits(model), host))


def test_what_depends_on_the_model():
    old, new, newest = (table_of(claude_traits(MODELS[number]), "direct") for number in (0, 3, 4))
    assert isinstance(old[Word.REASONING], Dropped)
    assert isinstance(new[Word.TEMPERATURE], Dropped)
    assert isinstance(new[Word.TOOL_CHOICE_NAMED], Sent)
    assert isinstance(newest[Word.TOOL_CHOICE_NAMED], Refused)


def test_what_depends_on_the_host():
    traits = claude_traits("claude-opus-4-8")
    assert isinstance(table_of(traits, "vertex")[Word.SERVICE_TIER], Dropped)
    assert table_of(traits, "direct")[Word.SERVICE_TIER] == TABLE[Word.SERVICE_TIER]
