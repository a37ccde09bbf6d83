"""What becomes of each word, by speaker and by model."""

import pytest

from llmauth.chat.words import Word
from llmauth.codecs.mapping import Dropped, Refused, Sent, complete
from llmauth.codecs.openai.table import COMPATIBLE, DIALECTS, EXTENDED, OPENAI, OPENAI_TABLE, is_reasoning, short_user


def test_the_table_is_complete():
    assert complete(OPENAI_TABLE)


def test_dialects_have_names_of_their_own():
    assert set(DIALECTS) == {"openai", "azure", "openai_compatible", "openai_extended"}


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_few_words_depend_on_the_model(dialect):
    old, new, other = dialect.table_of("gpt-4o"), dialect.table_of("o3"), dialect.table_of("llama-3")
    assert {word for word in Word if other[word] != new[word]} == {Word.MAX_TOKENS, Word.TEMPERATURE, Word.TOP_P}
    assert new[Word.MAX_TOKENS] == Sent("max_completion_tokens")
    assert isinstance(new[Word.TEMPERATURE], Dropped)
    assert isinstance(new[Word.TOP_P], Dropped)
    assert {word for word in Word if other[word] != old[word]} == {Word.REASONING}
    assert isinstance(old[Word.REASONING], Dropped)


def test_a_user_that_is_too_long_is_hashed():
    assert short_user("u" * 64) == "u" * 64
    assert len(short_user("u" * 65)) == 64
    assert short_user("u" * 65) != short_user("u" * 66)
    assert len(short_user("\ud800" * 65)) == 64


def test_what_only_some_know():
    assert isinstance(OPENAI.table[Word.TOP_K], Dropped)
    assert COMPATIBLE.table[Word.TOP_K] == Sent("top_k")
    assert isinstance(COMPATIBLE.table[Word.WEB_SEARCH], Refused)
    assert isinstance(COMPATIBLE.table[Word.THINKING_BACK], Dropped)
    assert isinstance(EXTENDED.table[Word.THINKING_BACK], Sent)


@pytest.mark.parametrize(
    ("model", "thinks"),
    [("o1", True), ("gpt-5-mini", True), ("a/gpt-5", True), ("gpt-4o", False), ("omni", False), ("", False)],
)
def test_models_that_think(model, thinks):
    assert is_reasoning(model) is thinks
