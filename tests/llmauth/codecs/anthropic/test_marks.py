"""Signatures of calls and texts, there and back through redacted thinking."""

import pytest

from llmauth.chat.messages import Redacted, Signature, Text, ToolCall
from llmauth.chat.signatures import read
from llmauth.codecs.anthropic.marks import attached, of_call, of_text

GEMINI = Signature("gemini", "c2ln")


def as_part(block):
    assert block["type"] == "redacted_thinking"
    return Redacted(read(block["data"], "anthropic"))


def test_a_call_gets_its_signature_back():
    call = ToolCall("c", "f", "{}")
    assert attached([Text("a"), as_part(of_call(GEMINI)), call, call]) == (
        Text("a"),
        ToolCall("c", "f", "{}", GEMINI),
        call,
    )


def test_a_text_gets_its_signature_back():
    assert attached([Text("a"), as_part(of_text(GEMINI)), Text("b")]) == (Text("a", signature=GEMINI), Text("b"))


def test_a_signature_of_no_text_is_an_empty_text():
    assert attached([as_part(of_text(GEMINI))]) == (Text("", signature=GEMINI),)


def test_a_mark_whose_call_is_gone_is_nothing():
    assert attached([as_part(of_call(GEMINI)), Text("a")]) == (Text("a"),)


@pytest.mark.parametrize("signature", [Signature("anthropic", "call.x"), Signature("openai", "other")])
def test_other_redacted_thinking_stays(signature):
    assert attached([Redacted(signature)]) == (Redacted(signature),)
