"""What an answer that is read whole is told with."""

from llmauth.codecs.whole import about_tokens


def test_an_estimate_counts_scripts_without_spaces_by_their_characters():
    assert (about_tokens("abcdefgh"), about_tokens("日本語"), about_tokens("a")) == (2, 3, 1)
