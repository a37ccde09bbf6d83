"""Signatures come back as what they were, whoever made them."""

import pytest

from llmauth.chat.messages import Redacted, Signature, Thinking
from llmauth.codecs.responses.sealing import sealed, unsealed

FAMILIES = ("anthropic", "gemini", "openai", "bedrock")


@pytest.mark.parametrize("origin", FAMILIES)
def test_signed_thinking_comes_back(origin):
    thinking = Thinking("Hm.", Signature(origin, "c2ln"))
    assert unsealed("Hm.", sealed(thinking)) == thinking


@pytest.mark.parametrize("origin", FAMILIES)
def test_redacted_thinking_comes_back_as_redacted(origin):
    redacted = Redacted(Signature(origin, "c2ln"))
    assert unsealed("", sealed(redacted)) == redacted


@pytest.mark.parametrize("origin", ["anthropic", "gemini", "bedrock"])
def test_a_signature_under_empty_thinking_is_not_taken_for_redacted(origin):
    thinking = Thinking("", Signature(origin, "c2ln"))
    assert unsealed("", sealed(thinking)) == thinking


def test_openai_s_own_stands_as_it_is():
    assert sealed(Thinking("Hm.", Signature("openai", "gAAA"))) == "gAAA"
    assert sealed(Redacted(Signature("openai", "gAAA"))) == "gAAA"


def test_openai_s_own_without_a_summary_is_for_openai_alone():
    assert unsealed("", "gAAA") == Redacted(Signature("openai", "gAAA"))


def test_thinking_that_nobody_signed():
    assert sealed(Thinking("Hm.")) is None
    assert unsealed("Hm.", None) == Thinking("Hm.")
    assert unsealed("", None) is None
