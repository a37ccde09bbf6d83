"""Answers of Converse: what the golden cases do not show, and what is no answer."""

import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmauth.chat.messages import Citation, Finish, Redacted, Refusal, Signature, Text, Thinking, ToolCall, Usage
from llmauth.codecs.converse.names import ANSWER
from llmauth.errors import BrokenAnswer, UpstreamError
from tests.golden.cases import cases
from tests.llmauth.codecs.converse.goldens import CASES, provider, response_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def answer(*blocks, reason="end_turn", **more):
    body = {"output": {"message": {"role": "assistant", "content": list(blocks)}}, "stopReason": reason, **more}
    return provider().parse_response(json.dumps(body).encode())


def parts(*blocks, reason="end_turn"):
    return answer(*blocks, reason=reason).choices[0].parts


def test_converse_has_no_refusal_of_the_models_own_words():
    assert isinstance(cases()["refusal"].response.choices[0].parts[0], Refusal)
    assert parts({"text": "I cannot help with that."}) == (Text("I cannot help with that."),)


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", Finish.STOP),
        ("stop_sequence", Finish.STOP_SEQUENCE),
        ("max_tokens", Finish.LENGTH),
        ("model_context_window_exceeded", Finish.CONTEXT_LENGTH),
        ("guardrail_intervened", Finish.CONTENT_FILTER),
        ("content_filtered", Finish.CONTENT_FILTER),
        ("malformed_model_output", Finish.MALFORMED),
        ("malformed_tool_use", Finish.MALFORMED),
        ("a_reason_of_next_year", Finish.STOP),
        ("", Finish.STOP),
    ],
)
def test_reasons(reason, finish):
    assert answer({"text": "a"}, reason=reason).choices[0].finish is finish


def test_malformed_and_empty_is_no_answer():
    with pytest.raises(BrokenAnswer, match="malformed"):
        answer(reason="malformed_tool_use")


def test_usage_is_counted_once_each():
    told = {"inputTokens": 10, "outputTokens": 5, "cacheReadInputTokens": 200, "cacheWriteInputTokens": 50}
    usage = answer({"text": "a"}, usage={**told, "totalTokens": 265}).usage
    assert usage == Usage(input=10, cache_read=200, cache_write=50, output=5)
    assert usage.total == 265
    assert answer({"text": "a"}).usage is None


@pytest.mark.parametrize(
    ("extra", "count"),
    [
        ({"usage": {"output_tokens_details": {"thinking_tokens": 7}}}, 7),
        ({"output_tokens_details": {"thinking_tokens": 7}}, 7),
        ({"usage": None}, 0),
        ({"usage": {"output_tokens_details": {"thinking_tokens": "7"}}}, 0),
        ({"usage": {"output_tokens_details": {"thinking_tokens": -7}}}, 0),
        ([], 0),
        (None, 0),
    ],
)
def test_tokens_of_thinking_where_claude_tells_them(extra, count):
    told = answer({"text": "a"}, usage={"inputTokens": 1, "outputTokens": 9}, additionalModelResponseFields=extra)
    assert told.usage.reasoning == count


def test_the_stop_sequence_that_was_met():
    told = answer({"text": "a"}, reason="stop_sequence", additionalModelResponseFields={"stop_sequence": "END"})
    assert told.choices[0].stop_sequence == "END"
    assert answer({"text": "a"}, additionalModelResponseFields={"stop_sequence": None}).choices[0].stop_sequence is None


def test_service_tier():
    assert answer({"text": "a"}, serviceTier={"type": "flex"}).service_tier == "flex"


def test_thinking_of_each_family():
    thought = {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "s"}}}
    unsigned = {"reasoningContent": {"reasoningText": {"text": "Hm."}}}
    hidden = {"reasoningContent": {"redactedContent": "cg=="}}
    assert parts(thought, unsigned, hidden) == (
        Thinking("Hm.", Signature("anthropic", "s")),
        Thinking("Hm."),
        Redacted(Signature("anthropic", "cg==")),
    )
    body = {"output": {"message": {"content": [thought]}}, "stopReason": "end_turn"}
    [choice] = provider("us.amazon.nova-2-lite-v1:0").parse_response(json.dumps(body).encode()).choices
    assert choice.parts == (Thinking("Hm.", Signature("bedrock", "s")),)


def test_sources_that_lead_somewhere():
    web = {"title": "A page", "location": {"web": {"url": "https://example.com", "domain": "example.com"}}}
    place = {"title": "report", "location": {"documentChar": {"documentIndex": 0, "start": 1, "end": 2}}}
    block = {"citationsContent": {"content": [{"text": "It "}, {"text": "rains."}], "citations": [web, place, {}]}}
    assert parts(block) == (Text("It rains.", citations=(Citation("https://example.com", "A page"),)),)


def test_what_is_no_part_of_an_answer_is_skipped():
    served = {"toolUse": {"toolUseId": "t", "name": "nova_grounding", "input": {}, "type": "server_tool_use"}}
    assert parts(served, {"toolResult": {}}, {"image": {}}, {"next_year": 1}, {"text": ""}, {"text": "a"}) == (
        Text("a"),
    )


def test_the_input_of_a_call_is_json_text():
    use = {"toolUseId": "t", "name": "look", "input": {"ü": [1, None]}}
    assert parts({"toolUse": use}, reason="tool_use") == (ToolCall("t", "look", '{"ü":[1,null]}'),)
    assert parts({"toolUse": {**use, "input": None}}) == (ToolCall("t", "look", "{}"),)


def test_the_tool_that_stands_for_the_answer_is_text():
    given_by_tool = answer({"toolUse": {"toolUseId": "t", "name": ANSWER, "input": {"a": 1}}}, reason="tool_use")
    assert given_by_tool.choices[0].parts == (Text('{"a":1}'),)
    assert given_by_tool.choices[0].finish is Finish.STOP
    both = answer(
        {"toolUse": {"toolUseId": "t", "name": ANSWER, "input": {}}},
        {"toolUse": {"toolUseId": "u", "name": "look", "input": {}}},
        reason="tool_use",
    )
    assert both.choices[0].finish is Finish.TOOL_CALLS


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b"{}",
        b'{"output":{}}',
        b'{"output":{"message":{"content":"a"}}}',
        b'{"output":{"message":{"content":[{"text":1}]}}}',
        b'{"output":{"message":{"content":[{"toolUse":{"name":"a"}}]}}}',
        b'{"output":{"message":{"content":[{"toolUse":{"toolUseId":"t","name":"a","input":NaN}}]}}}',
        b'{"output":{"message":{"content":[]}},"usage":{"inputTokens":-1}}',
        b"[" * 100_000,
        b'{"output":{"message":{"content":[{"toolUse":{"toolUseId":"t","name":"a","input":'
        + b"[" * 900
        + b"]" * 900
        + b"}}]",
    ],
    ids=range(13),
)
def test_what_is_no_answer_is_broken_and_shows_little(body):
    with pytest.raises(BrokenAnswer, match="cannot be read") as caught:
        provider().parse_response(body)
    assert len(caught.value.message) < 220


def test_a_failure_under_a_status_of_success():
    body = b'{"__type":"com.amazon.coral.service#ThrottlingException","message":"Slow down."}'
    with pytest.raises(UpstreamError, match="Slow down") as caught:
        provider().parse_response(body)
    assert caught.value.cause == "rate_limited"


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_nothing_else_is_raised_whatever_stands_where(data):
    told = json.loads(response_of(data.draw(st.sampled_from(sorted(CASES)))))
    place = told
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if data.draw(st.booleans()) or not isinstance(place[key], dict | list) or not place[key]:
            break
        place = place[key]
    place[key] = data.draw(JSON)
    with suppress(BrokenAnswer, UpstreamError):
        provider().parse_response(json.dumps(told).encode())


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(CASES)), st.integers(0, 400), st.binary(max_size=4))
def test_nor_whatever_bytes_are_there(case, at, junk):
    whole = response_of(case)
    with suppress(BrokenAnswer, UpstreamError):
        provider().parse_response(whole[:at] + junk + whole[at + len(junk) :])
