"""Signatures written where a client keeps them, and read again with their origin."""

from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from llmauth.chat.messages import Origin, Signature
from llmauth.chat.signatures import read, written

ORIGINS = st.sampled_from(get_args(Origin))


def test_one_of_the_protocols_own_family_stands_as_it_is():
    assert written(Signature("anthropic", "abc="), "anthropic") == "abc="
    assert written(Signature("gemini", "abc="), "anthropic") == "llmauth.gemini.abc="


def test_what_names_no_origin_that_we_know_is_the_protocols_own():
    assert read("abc=", "openai") == Signature("openai", "abc=")
    assert read("llmauth.acme.abc=", "openai") == Signature("openai", "llmauth.acme.abc=")
    assert read("", "gemini") == Signature("gemini", "")


@given(ORIGINS, ORIGINS, st.text().filter(lambda text: not text.startswith("llmauth.")))
def test_written_and_read_again(origin, own, value):
    assert read(written(Signature(origin, value), own), own) == Signature(origin, value)
