"""Whole answers: read as Anthropic writes them, written as its clients read them."""

import json
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmauth.chat.messages import (
    ChatResponse,
    Choice,
    Citation,
    Finish,
    Reasoning,
    Refusal,
    Signature,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from llmauth.codecs.anthropic import answer_tool
from llmauth.codecs.anthropic.response import parse, render
from llmauth.codecs.base import Answering
from llmauth.errors import BrokenAnswer, GatewayError, UpstreamError
from tests.golden.cases import answered, asked, cases, user
from tests.llmauth.codecs.anthropic.golden import ANSWER_ID, ANSWERED_AS, golden

CASES = [name for name in cases() if name != "content filter"]


def answering(reasoning=None):
    return Answering(id="01AbCdEf", created=0, model="asked-for", request=asked(user("Hi"), reasoning=reasoning))


def message(*content, **more):
    body = {"type": "message", "id": "m", "model": "c", "content": list(content), "stop_reason": "end_turn"}
    return json.dumps(body | more).encode()


def written(response, reasoning=None):
    return json.loads(render(response, answering(reasoning)))


@pytest.mark.parametrize("name", CASES)
def test_golden_responses_are_read(name):
    assert parse(golden(name, "response.json")) == replace(cases()[name].response, id=ANSWER_ID, model=ANSWERED_AS)


@pytest.mark.parametrize("name", CASES)
def test_golden_responses_are_written(name):
    expected = json.loads(golden(name, "response.json")) | {"model": "asked-for"}
    usage = {"cache_read_input_tokens": 0, "cache_creation_input_tokens": 0} | expected["usage"]
    assert written(cases()[name].response) == expected | {"usage": usage}


def test_a_filter_of_another_provider_is_a_refusal():
    body = written(cases()["content filter"].response)
    assert body["stop_reason"] == "refusal"
    assert body["content"] == [{"type": "text", "text": "I"}]


@pytest.mark.parametrize("finish", list(Finish))
def test_every_end_has_a_reason_of_anthropics(finish):
    known = {"end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal"}
    assert written(answered("x", finish=finish))["stop_reason"] in known | {"model_context_window_exceeded"}


def test_a_stop_sequence_is_named():
    choice = Choice(parts=(Text("a"),), finish=Finish.STOP_SEQUENCE, stop_sequence="END")
    body = written(ChatResponse(id="", model="", choices=(choice,)))
    assert (body["stop_reason"], body["stop_sequence"]) == ("stop_sequence", "END")
    assert parse(json.dumps(body).encode()).choices == (choice,)


def test_an_answer_without_usage_has_zeros_which_clients_need():
    usage = written(ChatResponse(id="", model="", choices=()))["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (0, 0)


def test_our_answer_tool_is_the_answer():
    call = {"type": "tool_use", "id": "t", "name": answer_tool.NAME, "input": {"name": "Zoë"}}
    choice = parse(message(call, stop_reason="tool_use")).choices[0]
    assert choice.parts == (Text('{"name":"Zoë"}'),)
    assert choice.finish is Finish.STOP


def test_a_call_beside_our_answer_tool_is_still_a_call():
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    choice = parse(message(call, stop_reason="tool_use")).choices[0]
    assert choice == Choice(parts=(ToolCall("t", "f", "{}"),), finish=Finish.TOOL_CALLS)


def test_what_is_new_in_an_answer_is_skipped():
    body = message({"type": "hologram", "x": 1}, {"type": "text", "text": "a", "new": 1}, new={}, stop_reason="new")
    assert parse(body).choices == (Choice(parts=(Text("a"),), finish=Finish.STOP),)


def test_sources_on_the_web_are_cited():
    web = {"type": "web_search_result_location", "url": "https://a.example", "title": "A", "cited_text": "b"}
    place = {"type": "char_location", "cited_text": "b", "document_index": 0}
    response = parse(message({"type": "text", "text": "a", "citations": [web, place]}))
    text = Text("a", citations=(Citation("https://a.example", "A"),))
    assert response.choices[0].parts == (text,)
    assert parse(json.dumps(written(response)).encode()).choices[0].parts == (text,)


def test_signatures_of_others_come_with_their_origin():
    foreign = Signature("gemini", "Zw==")
    body = written(answered(Thinking("t", foreign), ToolCall("c", "f", "{}", foreign)))
    assert [block["type"] for block in body["content"]] == ["thinking", "redacted_thinking", "tool_use"]
    assert body["content"][0]["signature"] == "llmauth.gemini.Zw=="
    assert body["content"][1]["data"] == "llmauth.gemini.call.Zw=="


def test_thinking_that_is_not_to_be_shown_keeps_its_signature():
    response = answered(Thinking("secret", Signature("anthropic", "s")), Thinking("unsigned"), "a")
    content = written(response, Reasoning(shown=False))["content"]
    assert content[0] == {"type": "thinking", "thinking": "", "signature": "s"}
    assert [block["type"] for block in content] == ["thinking", "text"]


def test_broken_arguments_are_wrapped():
    assert written(answered(ToolCall("c", "f", '{"a":')))["content"][0]["input"] == {"INVALID_JSON": '{"a":'}


@pytest.mark.parametrize(("tier", "said"), [("default", "standard"), ("priority", "priority"), ("flex", None)])
def test_tiers(tier, said):
    body = written(replace(answered("a"), service_tier=tier))
    assert body["usage"].get("service_tier") == said
    assert parse(json.dumps(body).encode()).service_tier == (tier if said else None)


def test_an_error_object_is_the_providers_refusal():
    body = {"type": "error", "error": {"type": "overloaded_error", "message": "Busy"}}
    with pytest.raises(UpstreamError, match="Busy") as refused:
        parse(json.dumps(body).encode())
    assert refused.value.cause == "overloaded"


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b"{}", b"\xff", b'{"content":{}}', b'{"content":[1]}', b"[" * 100_000, b'{"type":"error"}'],
)
def test_what_is_no_message_is_broken(body):
    with pytest.raises(BrokenAnswer):
        parse(body)


TEXTS = st.text(min_size=1, max_size=20)
PARTS = st.lists(
    st.one_of(
        st.builds(Text, TEXTS),
        st.builds(
            Thinking, TEXTS, st.none() | st.builds(Signature, st.just("anthropic"), st.text("ab+/=", min_size=1))
        ),
        st.builds(ToolCall, TEXTS, TEXTS, st.sampled_from(["{}", '{"a":1}', '{"ü":[null]}', "broken"])),
    ),
    max_size=5,
)
COUNTS = st.integers(0, 10**6)
USAGES = st.builds(Usage, input=COUNTS, cache_read=COUNTS, cache_write=COUNTS, output=COUNTS, reasoning=COUNTS)


@settings(max_examples=80, deadline=None)
@given(PARTS, USAGES, st.sampled_from([Finish.STOP, Finish.LENGTH, Finish.PAUSE, Finish.CONTEXT_LENGTH]))
def test_what_is_written_is_read_back(parts, usage, finish):
    response = answered(*parts, finish=finish, usage=usage)
    read = parse(render(response, answering()))
    assert replace(read, id="", model="") == response


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(CASES), st.data())
def test_hostile_bytes_raise_only_what_is_designed(name, data):
    body = bytearray(golden(name, "response.json"))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 8))] = data.draw(
            st.sampled_from([b"", b"null", b'"', b"[", b"-1", b"\xff"])
        )
    with suppress(GatewayError):
        parse(bytes(body))


def test_words_for_not_answering_make_any_end_a_refusal():
    body = written(answered(Refusal("No."), finish=Finish.STOP))
    assert body["stop_reason"] == "refusal"
    assert body["stop_details"]["explanation"] == "No."
