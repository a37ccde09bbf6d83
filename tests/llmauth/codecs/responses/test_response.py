"""Whole answers: the golden ones by hand, and all others read back."""

import json
from dataclasses import replace

import pytest

from llmauth.chat.messages import (
    ChatResponse,
    Choice,
    Citation,
    Data,
    Finish,
    Image,
    Redacted,
    Refusal,
    Signature,
    Text,
    Thinking,
    ToolCall,
)
from llmauth.codecs.responses.request import parse
from llmauth.codecs.responses.response import render
from tests.golden.cases import answered
from tests.golden.responses import golden

CASE = golden.CASES["text"]


def rendered(*parts, finish=Finish.STOP, **more):
    response = ChatResponse(id="x", model="y", choices=(Choice(parts=parts, finish=finish, **more),))
    return json.loads(render(response, golden.answering(CASE.request)))


@pytest.mark.parametrize("name", golden.CASES)
def test_golden_answers(name):
    case = golden.CASES[name]
    found = json.loads(render(case.response, golden.answering(case.request)))
    expected = golden.ANSWERS.get(name, {})
    assert {member: found[member] for member in expected} == expected
    assert golden.content(found) == (case.response.choices[0].parts, case.response.choices[0].finish)
    assert golden.usage(found) == case.response.usage
    assert (found["id"], found["model"], found["created_at"]) == ("resp_golden", "golden-model", 1_700_000_000)


def test_every_golden_answer_belongs_to_a_case():
    assert golden.ANSWERS.keys() <= golden.CASES.keys()


@pytest.mark.parametrize("name", ["thinking", "redacted thinking", "one tool", "parallel tools"])
def test_an_agent_gives_its_answer_back_and_nothing_is_lost(name):
    """Codex and the Agents SDK append `output` to `input` as it is."""
    case = golden.CASES[name]
    found = json.loads(render(case.response, golden.answering(case.request)))
    body = {"model": "m", "input": [{"role": "user", "content": "hi"}, *found["output"]]}
    again = parse(json.dumps(body).encode())
    assert again.messages[1].parts == case.response.choices[0].parts


@pytest.mark.parametrize("origin", ["anthropic", "gemini", "bedrock", "openai"])
def test_signatures_of_all_families_come_back(origin):
    parts = (Thinking("Hm.", Signature(origin, "a")), Redacted(Signature(origin, "b")), ToolCall("c", "f", "{}"))
    found = rendered(*parts, finish=Finish.TOOL_CALLS)
    again = parse(json.dumps({"model": "m", "input": found["output"]}).encode())
    assert again.messages[0].parts == parts


def test_order_follows_the_parts():
    found = rendered(
        Thinking("a"),
        Text("b"),
        Refusal("c"),
        ToolCall("d", "f", ""),
        Text("e"),
        Text("g"),
        Thinking("h"),
        Redacted(Signature("gemini", "i")),
    )
    assert [item["type"] for item in found["output"]] == [
        "reasoning",
        "message",
        "function_call",
        "message",
        "reasoning",
        "reasoning",
    ]
    assert [item["id"] for item in found["output"]] == [
        "rs_golden_0",
        "msg_golden_1",
        "fc_golden_2",
        "msg_golden_3",
        "rs_golden_4",
        "rs_golden_5",
    ]
    assert [part["type"] for part in found["output"][1]["content"]] == ["output_text", "refusal"]


def test_what_says_nothing_is_no_item():
    signed = Text("", signature=Signature("gemini", "a"))
    found = rendered(signed, Thinking(""), Image(Data("image/png", "QQ==")), Text("b"))
    assert golden.content(found)[0] == (Text("b"),)


def test_an_answer_without_a_word_is_one_empty_message():
    """Clients look at the first item."""
    (item,) = rendered()["output"]
    assert item["content"] == [{"type": "output_text", "text": "", "annotations": [], "logprobs": []}]


def test_what_was_filtered_before_it_began_is_empty():
    found = rendered(finish=Finish.CONTENT_FILTER)
    assert (found["status"], found["output"]) == ("incomplete", [])


def test_of_a_cut_answer_the_last_item_is_incomplete():
    found = rendered(Text("a"), ToolCall("c", "f", '{"a'), finish=Finish.LENGTH)
    assert [item["status"] for item in found["output"]] == ["completed", "incomplete"]
    assert found["output"][1]["arguments"] == '{"a'


def test_a_refusal_without_words_of_its_own_is_a_filter():
    found = rendered(Text("I"), finish=Finish.REFUSAL)
    assert found["incomplete_details"] == {"reason": "content_filter"}


def test_sources_and_log_probabilities():
    entry = {"token": "hi", "logprob": -0.1, "bytes": [104, 105], "top_logprobs": []}
    found = rendered(
        ToolCall("c", "f", "{}"),
        Text("hi", citations=(Citation("https://e.com", "E", 0, 2),)),
        Thinking("a"),
        Text("there"),
        logprobs={"content": [entry]},
    )
    first, second = found["output"][1]["content"][0], found["output"][3]["content"][0]
    assert first["logprobs"] == [entry]
    assert first["annotations"][0]["url"] == "https://e.com"
    assert second["logprobs"] == []


def test_usage_that_nobody_told_is_null():
    assert rendered(Text("a"))["usage"] is None


def test_one_answer_has_a_place():
    response = answered("first")
    second = replace(response.choices[0], parts=(Text("second"),), index=1)
    found = json.loads(render(replace(response, choices=(*response.choices, second)), golden.answering(CASE.request)))
    assert golden.content(found)[0] == (Text("first"),)


def test_no_choice_at_all():
    found = json.loads(render(ChatResponse(id="", model="", choices=()), golden.answering(CASE.request)))
    assert found["status"] == "completed"
