"""Pieces of calls, one by one."""

import pytest

from llmauth.chat.events import ArgumentsDelta, CallStarted
from llmauth.codecs.oracle.calls import PiecedCalls
from llmauth.codecs.reading import Malformed


def test_each_call_is_numbered_in_its_choice():
    calls = PiecedCalls(2)
    assert not calls
    assert calls.piece("a", "f", "{}") == [CallStarted(0, "a", "f", choice=2), ArgumentsDelta(0, "{}", 2)]
    assert calls.piece("b", "g", "") == [CallStarted(1, "b", "g", choice=2)]
    assert calls


def test_a_call_that_was_interrupted_is_over():
    calls = PiecedCalls(0)
    calls.piece("a", "f", "{")
    calls.interrupt()
    with pytest.raises(Malformed):
        calls.piece("", "", "}")
