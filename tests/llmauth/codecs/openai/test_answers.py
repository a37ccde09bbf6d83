"""Answers of many servers: those that say less than OpenAI, or more, or it otherwise."""

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmauth.chat.messages import Citation, Finish, Redacted, Refusal, Signature, Text, Thinking, ToolCall, Usage
from llmauth.codecs.openai.answers import (
    FINISHES,
    decode,
    parse_answer,
    parse_choice,
    parse_usage,
    synthetic_id,
    token_logprobs,
)
from llmauth.codecs.openai.provider import OpenAIProvider
from llmauth.codecs.reading import Malformed, Node
from llmauth.errors import BrokenAnswer, UpstreamError
from tests.llmauth.codecs.openai.samples import CASES, GOLDEN


def choice(finish="stop", **message):
    return parse_choice(
        Node({"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}), seed="x"
    )


def test_the_model_s_name_may_stand_elsewhere():
    told = {"model_id": "m", "choices": [{"message": {"content": "a"}, "finish_reason": "done"}]}
    answer = parse_answer(Node(told), model="model_id", finishes={"done": Finish.LENGTH})
    assert (answer.id, answer.model, answer.usage, answer.choices[0].finish) == ("", "m", None, Finish.LENGTH)


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        ({"content": None}, ()),
        ({"content": ""}, ()),
        ({"content": [{"type": "text", "text": "a"}, {"type": "new"}, {"type": "text", "text": "b"}]}, (Text("ab"),)),
        ({"content": [{"type": "refusal", "refusal": "No."}]}, (Refusal("No."),)),
        ({"content": "a", "reasoning": "b"}, (Thinking("b"), Text("a"))),
        ({"content": "a", "reasoning_content": "b", "thinking_blocks": []}, (Thinking("b"), Text("a"))),
        (
            {"thinking_blocks": [{"type": "thinking", "thinking": "b"}, {"type": "new"}], "reasoning_content": "c"},
            (Thinking("b"),),
        ),
        ({"thinking_blocks": [{"type": "redacted_thinking", "data": "d"}]}, (Redacted(Signature("openai", "d")),)),
        ({"tool_calls": [{"function": {"name": "f"}}]}, (ToolCall(synthetic_id("x/0", 0, "f"), "f", ""),)),
        ({"function_call": {"name": "f", "arguments": "{}"}}, (ToolCall(synthetic_id("x/0", 0, "f"), "f", "{}"),)),
    ],
    ids=str,
)
def test_what_was_said(message, parts):
    assert choice(**message).parts == parts


def test_ids_that_were_not_given_are_the_same_each_time():
    assert synthetic_id("x", 0, "f") == synthetic_id("x", 0, "f")
    assert len({synthetic_id("x", 0, "f"), synthetic_id("x", 1, "f"), synthetic_id("y", 0, "f")}) == 3


def test_sources():
    told = {"url": "https://e.com", "title": None, "start_index": 0, "end_index": -1}
    annotations = [{"type": "url_citation", "url_citation": told}, {"type": "file"}, 3]
    assert choice(content="a", annotations=annotations).parts == (
        Text("a", citations=(Citation("https://e.com", "", 0, None),)),
    )


@pytest.mark.parametrize(
    ("finish", "message", "expected"),
    [
        ("stop", {"content": "a"}, Finish.STOP),
        ("eos_token", {"content": "a"}, Finish.STOP),
        ("stop", {"refusal": "No."}, Finish.REFUSAL),
        ("content_filter", {"refusal": "No."}, Finish.REFUSAL),
        ("length", {"refusal": "No."}, Finish.LENGTH),
        ("stop", {"tool_calls": [{"id": "c", "function": {"name": "f"}}]}, Finish.TOOL_CALLS),
        ("function_call", {"function_call": {"name": "f"}}, Finish.TOOL_CALLS),
    ],
    ids=str,
)
def test_why_it_ended(finish, message, expected):
    assert choice(finish, **message).finish is expected
    assert set(FINISHES.values()) <= set(Finish)


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 2}, Usage(input=5, output=2)),
        ({"prompt_tokens": 5, "prompt_tokens_details": None}, Usage(input=5)),
        (
            {"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 6, "cache_write_tokens": 1}},
            Usage(input=3, cache_read=6, cache_write=1),
        ),
        ({"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 9}}, Usage(input=0, cache_read=9)),
        (
            {"completion_tokens": 9, "total_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 4}},
            Usage(output=9, reasoning=4),
        ),
        (
            {"completion_tokens": 9, "total_tokens": 13, "completion_tokens_details": {"reasoning_tokens": 4}},
            Usage(output=13, reasoning=4),
        ),
    ],
    ids=str,
)
def test_the_bill_is_disjoint(told, usage):
    assert parse_usage(Node(told)) == usage


def test_log_probabilities_have_all_members_that_clients_ask_for():
    told = decode('{"content": [{"token": "a", "logprob": NaN}, {"token": "b", "logprob": 1e999, "bytes": [true]}, 3]}')
    assert token_logprobs(told) == (
        {"token": "a", "logprob": -9999.0, "bytes": None, "top_logprobs": []},
        {"token": "b", "logprob": -9999.0, "bytes": None, "top_logprobs": []},
    )


@pytest.mark.parametrize(
    "told",
    [
        {"choices": [3]},
        {"choices": [{"message": {"content": 3}, "finish_reason": "stop"}]},
        {"choices": [{"message": {"content": "a"}}]},
        {"choices": [{"message": {"tool_calls": [{}]}, "finish_reason": "stop"}]},
        {"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": -1}},
    ],
    ids=str,
)
def test_a_wrong_type_where_a_value_is_needed_is_malformed(told):
    with pytest.raises(Malformed):
        parse_answer(Node(told))


def _places(value, found):
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in members:
        found.append((value, key))
        _places(inner, found)
    return found


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.sampled_from(sorted(CASES)),
    st.integers(0, 40),
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=3)
    | st.sampled_from([[], {}, [{}], [0]]),
)
def test_hostile_answers_are_read_or_broken(name, number, value):
    """Only the designed exceptions, whatever stands at whatever place."""
    body = json.loads((GOLDEN / f"{name}.response.json").read_bytes())
    places = _places(body, [])
    holder, key = places[number % len(places)]
    holder[key] = value
    with contextlib.suppress(BrokenAnswer, UpstreamError):
        assert OpenAIProvider("m").parse_response(json.dumps(body).encode()).choices
