"""watsonx's table forgets no word."""

from llmauth.codecs.mapping import complete
from llmauth.codecs.watsonx.table import TABLE


def test_every_word_has_a_rule():
    assert complete(TABLE)
