"""Turns, and the signatures that go back with them."""

import pytest

from llmauth.chat.messages import Message, Redacted, Refusal, Signature, Text, Thinking, ToolCall, ToolResult
from llmauth.codecs.gemini.contents import UNSIGNED, contents
from llmauth.errors import BadRequest
from tests.golden.cases import assistant, user

OURS = Signature("gemini", "b3Vycw==")
LATER = Signature("gemini", "bGF0ZXI=")
FOREIGN = Signature("anthropic", "Zm9yZWlnbg==")
CALL = ToolCall("c1", "f", '{"a":1}')


def said(*parts, newest=False, thoughts=True):
    written = contents([user("Hi"), assistant(*parts)], newest=newest, thoughts=thoughts)
    return written[1]["parts"] if len(written) > 1 else []


def call(signature=None, identity=None):
    named = {"name": "f", "args": {"a": 1}}
    written = {"functionCall": named if identity is None else {"id": identity, **named}}
    return written if signature is None else {**written, "thoughtSignature": signature}


def test_neighbours_of_one_role_are_one_turn_and_empty_ones_none():
    turns = contents(
        [user("a"), user("", "b"), assistant(""), user("c"), assistant("d", "e")], newest=False, thoughts=True
    )
    assert turns == [
        {"role": "user", "parts": [{"text": "a"}, {"text": "b"}, {"text": "c"}]},
        {"role": "model", "parts": [{"text": "d"}, {"text": "e"}]},
    ]


def test_signatures_go_back_where_they_came_from():
    signed = ToolCall("c1", "f", '{"a":1}', OURS)
    assert said(Text("t", signature=LATER), signed) == [{"text": "t", "thoughtSignature": "bGF0ZXI="}, call("b3Vycw==")]
    assert said(Text("", signature=OURS)) == [{"text": "", "thoughtSignature": "b3Vycw=="}]


def test_signatures_of_others_go_nowhere():
    signed = ToolCall("c1", "f", '{"a":1}', FOREIGN)
    parts = said(Thinking("secret", FOREIGN), Redacted(FOREIGN), Text("t", signature=FOREIGN), signed)
    assert parts == [{"text": "t"}, call()]


def test_thinking_is_not_sent_again_and_its_signature_goes_to_the_first_call():
    assert said(Thinking("hm", OURS), "t", CALL) == [{"text": "t"}, call("b3Vycw==")]
    assert said(Thinking("hm", OURS), "t") == [{"text": "t", "thoughtSignature": "b3Vycw=="}]
    assert said(Thinking("hm", OURS)) == [{"text": "", "thoughtSignature": "b3Vycw=="}]
    assert said(Thinking("hm")) == []
    assert said(Thinking("hm", OURS), "t", CALL, thoughts=False) == [{"text": "t"}, call()]


def test_a_signature_of_its_own_goes_before_that_of_a_thought():
    signed = ToolCall("c1", "f", '{"a":1}', LATER)
    assert said(Thinking("hm", OURS), "t", signed) == [
        {"text": "t", "thoughtSignature": "b3Vycw=="},
        call("bGF0ZXI="),
    ]


def test_gemini_3_gets_a_stand_in_for_a_signature_that_was_lost():
    second = ToolCall("c2", "f", '{"a":1}')
    assert said(CALL, second, newest=True) == [call(UNSIGNED, "c1"), call(identity="c2")]
    assert said(Thinking("", OURS), CALL, second, newest=True) == [call("b3Vycw==", "c1"), call(identity="c2")]
    assert said(CALL, second) == [call(), call()]


def test_words_of_refusal_are_words():
    assert said(Refusal("No.")) == [{"text": "No."}]


def test_results_come_first_and_in_the_order_of_their_calls():
    results = (ToolResult("c2", (Text("two"),)), ToolResult("c1", (Text("one"),)))
    history = [user("Hi"), assistant(CALL, ToolCall("c2", "g", "")), Message("tool", results), user("And?")]
    first = {"name": "f", "response": {"output": "one"}}
    second = {"name": "g", "response": {"output": "two"}}
    parts = contents(history, newest=False, thoughts=True)[2]["parts"]
    assert parts == [{"functionResponse": first}, {"functionResponse": second}, {"text": "And?"}]
    parts = contents(history, newest=True, thoughts=True)[2]["parts"]
    assert parts[:2] == [{"functionResponse": {"id": "c1", **first}}, {"functionResponse": {"id": "c2", **second}}]


def test_an_id_that_comes_again_means_the_later_call():
    again = ToolCall("c1", "g", "{}")
    result = Message("tool", (ToolResult("c1", (Text("x"),)),))
    history = [user("Hi"), assistant(CALL), result, assistant(again), result]
    turns = contents(history, newest=False, thoughts=True)
    names = [part["functionResponse"]["name"] for turn in turns for part in turn["parts"] if "functionResponse" in part]
    assert names == ["f", "g"]


def test_ids_that_come_again_in_another_order():
    one, two = ToolCall("c1", "f", "{}"), ToolCall("c2", "g", "{}")
    results = Message("tool", (ToolResult("c1", (Text("x"),)), ToolResult("c2", (Text("y"),))))
    turns = contents(
        [user("Hi"), assistant(one, two), results, assistant(two, one), results], newest=False, thoughts=True
    )
    names = [part["functionResponse"]["name"] for turn in turns[2::2] for part in turn["parts"]]
    assert names == ["f", "g", "g", "f"]


def test_a_result_without_its_call_is_refused_by_name():
    with pytest.raises(BadRequest, match="tool_call_id 'c9'"):
        contents([user("Hi"), Message("tool", (ToolResult("c9", ()),))], newest=False, thoughts=True)
