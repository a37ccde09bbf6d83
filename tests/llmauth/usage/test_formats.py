"""By which bytes an event that tells is found."""

from __future__ import annotations

import pytest

from llmauth.usage.formats import GEMINI, INVOKE, OPENAI, WATSONX, Format


@pytest.mark.parametrize(
    ("format_", "text"),
    [
        (OPENAI, b'{"usage":{"a":1}}'),
        (OPENAI, b'{"usage" :\n {}}'),
        (GEMINI, b'"usageMetadata": {'),
        (INVOKE, b'"inputTextTokenCount":5'),
        (WATSONX, b'"generated_token_count": 5'),
    ],
)
def test_what_tells_is_found(format_: Format, text: bytes) -> None:
    assert format_.pattern.search(text)


@pytest.mark.parametrize(
    "text", [b'"usage":null', rb'"content":"\"usage\":{"', b'"usages":{}', b'"usage":[]', b"usage:{"]
)
def test_what_tells_nothing_is_not(text: bytes) -> None:
    assert OPENAI.pattern.search(text) is None
