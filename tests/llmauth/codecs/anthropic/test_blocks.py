"""Neutral parts as blocks for Anthropic."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmauth.chat.messages import Cache, Data, Document, Image, Link, Refusal, Text, ToolCall, ToolResult
from llmauth.codecs.anthropic.blocks import blocks_of, call_id
from llmauth.errors import BadRequest, UnsupportedParameter


@given(st.text())
def test_every_id_fits_and_one_id_is_always_the_same(text):
    assert re.fullmatch(r"[a-zA-Z0-9_-]+", call_id(text))
    assert call_id(text) == call_id(text)


@given(st.text("abcXYZ09_-", min_size=1))
def test_an_id_that_fits_is_left(text):
    assert call_id(text) == text


def test_a_foreign_id_is_the_same_in_call_and_result():
    call, result = blocks_of([ToolCall("a:b.c", "f", ""), ToolResult("a:b.c", ())])
    assert call["id"] == result["tool_use_id"] == call_id("a:b.c")
    assert call_id("a:b.c") != call_id("a:b.d")


@pytest.mark.parametrize(
    ("cache", "control"),
    [
        (Cache(), {"type": "ephemeral"}),
        (Cache("1h"), {"type": "ephemeral", "ttl": "1h"}),
        (Cache("24h"), {"type": "ephemeral"}),
    ],
)
def test_breakpoints(cache, control):
    assert blocks_of([Text("a", cache)])[0]["cache_control"] == control


def test_jpg_is_jpeg():
    assert blocks_of([Image(Data("image/jpg", "aa"))])[0]["source"]["media_type"] == "image/jpeg"


def test_texts_as_documents():
    source = blocks_of([Document(Data("text/markdown", "Wm/Dqwo="))])[0]["source"]
    assert source == {"type": "text", "media_type": "text/plain", "data": "Zoë\n"}


def test_documents_by_link():
    assert blocks_of([Document(Link("https://a.example"))])[0]["source"] == {"type": "url", "url": "https://a.example"}


def test_other_documents_are_refused():
    with pytest.raises(UnsupportedParameter, match="application/msword"):
        blocks_of([Document(Data("application/msword", "aa"))])


@pytest.mark.parametrize("data", ["%%%", "/w=="])
def test_a_text_that_is_none_is_refused(data):
    with pytest.raises(BadRequest, match="base64"):
        blocks_of([Document(Data("text/plain", data))])


def test_an_earlier_refusal_is_words():
    assert blocks_of([Refusal("No."), Refusal("")]) == [{"type": "text", "text": "No."}]


def test_an_empty_result_has_no_content():
    assert blocks_of([ToolResult("1", (Text(" "),))]) == [{"type": "tool_result", "tool_use_id": "1"}]
