"""JSON that every reader of server-sent events can take, and numbers that leave nothing out."""

import json

import pytest

from llmauth.codecs.responses.writing import Writer, dumps


@pytest.mark.parametrize("text", ["plain", "naïve", "日本", "😀", "a\nb\r\n", "\x85\u2028\u2029", "\ud800", "x\udfffü"])
def test_any_text_is_one_line_and_comes_back(text):
    written = dumps({"a": text})
    assert json.loads(written) == {"a": text}
    assert len(written.decode().splitlines()) == 1


def test_text_is_not_blown_up():
    assert dumps("日本") == '"日本"'.encode()


def test_events_are_numbered_from_zero():
    writer = Writer()
    assert writer.event("a", b=1) == b'event: a\ndata: {"type":"a","sequence_number":0,"b":1}\n\n'
    assert writer.spliced("c", b"}") == b'event: c\ndata: {"type":"c","sequence_number":1}\n\n'
