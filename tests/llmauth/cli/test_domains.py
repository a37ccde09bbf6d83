"""The names of an authority, as people read them."""

from __future__ import annotations

import pytest

from llmauth.cli.domains import in_words


@pytest.mark.parametrize(
    ("domains", "words"),
    [
        (("b.example",), "b.example"),
        (("a", "b", "c"), "a, b, c"),
        (("a", "amazonaws.com", "api.openai.com", "z"), "api.openai.com, amazonaws.com, a and 1 more"),
        (("\x1b[2J",), "?[2J"),
    ],
)
def test_in_words(domains: tuple[str, ...], words: str) -> None:
    assert in_words(domains) == words
