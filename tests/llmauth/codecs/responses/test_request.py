"""Requests of Responses clients to neutral ones: the golden ones, each member, and bodies of enemies."""

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmauth.chat.messages import ChatRequest, Message, Reasoning, Signature, Text, Thinking
from llmauth.chat.words import Word
from llmauth.codecs.responses.members import MEMBERS
from llmauth.codecs.responses.request import parse
from llmauth.errors import BadRequest, UnsupportedParameter
from tests.golden.responses import golden

TOOLS = [{"type": "function", "name": "f", "parameters": {"type": "object"}}]


def read(**members):
    return parse(json.dumps({"model": "m", "input": "hi", **members}).encode())


@pytest.mark.parametrize("name", golden.CASES)
def test_golden_requests(name):
    case = golden.CASES[name]
    found = parse(golden.asked(name))
    assert {**_members(found), "spelling": {}} == _members(golden.expressed(name, case))


def _members(request: ChatRequest) -> dict:
    return {name: getattr(request, name) for name in ChatRequest.__dataclass_fields__}


@pytest.mark.parametrize(
    ("members", "word", "value"),
    [
        ({"max_output_tokens": 5.0}, Word.MAX_TOKENS, 5),
        ({"temperature": 0}, Word.TEMPERATURE, 0),
        ({"top_p": 1}, Word.TOP_P, 1),
        ({"include": ["message.output_text.logprobs"]}, Word.LOGPROBS, True),
        ({"top_logprobs": 3}, Word.LOGPROBS, True),
        ({"top_logprobs": 3}, Word.TOP_LOGPROBS, 3),
        ({"parallel_tool_calls": False, "tools": TOOLS}, Word.PARALLEL_TOOL_CALLS, False),
        ({"metadata": {"a": "b"}}, Word.METADATA, {"a": "b"}),
        ({"user": "u"}, Word.USER, "u"),
        ({"safety_identifier": "s"}, Word.USER, "s"),
        ({"user": "u", "safety_identifier": "s"}, Word.USER, "s"),
        ({"service_tier": "flex"}, Word.SERVICE_TIER, "flex"),
        ({"text": {"verbosity": "low"}}, Word.VERBOSITY, "low"),
        ({"truncation": "auto"}, Word.TRUNCATION, "auto"),
        ({"prompt_cache_key": "k"}, Word.PROMPT_CACHE_KEY, "k"),
        ({"prompt_cache_retention": "24h"}, Word.PROMPT_CACHE_RETENTION, "24h"),
    ],
)
def test_parameters(members, word, value):
    assert read(**members).parameters[word] == value


@pytest.mark.parametrize(
    "members",
    [
        {"store": True},
        {"store": False},
        {"background": False},
        {"parallel_tool_calls": True, "tools": TOOLS},
        {"parallel_tool_calls": False},
        {"tool_choice": "none"},
        {"truncation": "disabled"},
        {"service_tier": "auto"},
        {"prompt_cache_key": ""},
        {"top_logprobs": 0},
        {"metadata": {}},
        {"max_tool_calls": 3},
        {"user": ""},
        {"stream_options": {"include_obfuscation": True}},
        {"include": ["reasoning.encrypted_content"]},
        {"text": {"format": {"type": "text"}}},
        dict.fromkeys(MEMBERS.keys() - {"model", "input"}),
        {"made_up": None},
    ],
)
def test_what_changes_nothing_is_not_said(members):
    found = read(**members)
    assert found.parameters == {}
    assert found.unknown == ()
    assert (found.tool_choice, found.output, found.reasoning, found.stream) == (None, None, None, False)


def test_a_coding_agent_s_request():
    """As Codex shapes it: everything stateless, reasoning encrypted, functions only."""
    found = read(
        instructions="You are an agent.",
        input=[
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Rules."}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Do it."}]},
            {"type": "reasoning", "summary": [], "content": None, "encrypted_content": "llmauth.anthropic.c2ln"},
            {"type": "function_call", "name": "shell", "arguments": '{"command":["ls"]}', "call_id": "call_1"},
            {"type": "function_call_output", "call_id": "call_1", "output": "a.txt"},
        ],
        tools=[{"type": "function", "name": "shell", "description": "", "strict": False, "parameters": {}}],
        tool_choice="auto",
        parallel_tool_calls=True,
        reasoning={"effort": "medium", "summary": "auto"},
        store=False,
        stream=True,
        include=["reasoning.encrypted_content"],
        prompt_cache_key="k",
        text={"verbosity": "medium"},
        client_metadata={"a": "b"},
    )
    assert [message.role for message in found.messages] == ["system", "developer", "user", "assistant", "tool"]
    assert found.messages[3].parts[0] == Thinking("", Signature("anthropic", "c2ln"))
    assert found.parameters == {Word.PROMPT_CACHE_KEY: "k", Word.VERBOSITY: "medium"}
    assert found.unknown == ("client_metadata",)


def test_what_has_no_word_is_told():
    found = read(
        made_up=1,
        seed=7,
        include=["web_search_call.results", "reasoning.encrypted_content"],
        prompt_cache_options={"mode": "implicit"},
        stream_options={"other": 1},
        reasoning={"effort": "low", "context": "all_turns"},
        user="u",
        safety_identifier="s",
    )
    assert found.unknown == (
        "made_up",
        "seed",
        "include.web_search_call.results",
        "prompt_cache_options",
        "stream_options.other",
        "user",
        "reasoning.context",
    )
    assert found.reasoning == Reasoning("low", shown=True)


def test_names_can_stand_in_a_header():
    """A client writes them, and they come back in a field of the answer."""
    found = read(**{"a\r\nSet-Cookie: b": 1, "ü" * 500: 1, "ü" * 600: 1}, include=["x\r\n"])
    assert found.unknown == ("a??Set-Cookie??b", "?" * 80, "include.x??")


@pytest.mark.parametrize(("name", "other"), [("user", "safety_identifier"), ("safety_identifier", "user")])
def test_the_user_is_spelled_as_the_client_did(name, other):
    found = read(**{name: "u", other: None})
    assert found.named(Word.USER) == name
    assert found.named(Word.MAX_TOKENS) == "max_output_tokens"


def test_instructions_come_first():
    found = read(instructions="Be brief.", input=[{"role": "system", "content": "Really."}])
    assert found.messages == (Message("system", (Text("Be brief."),)), Message("system", (Text("Really."),)))


def test_streams_tell_their_usage_unasked():
    assert (read(stream=True).stream, read(stream=True).include_usage) == (True, True)


@pytest.mark.parametrize(
    "members",
    [
        {"previous_response_id": "resp_1"},
        {"conversation": "conv_1"},
        {"conversation": {"id": "conv_1"}},
        {"prompt": {"id": "pmpt_1"}},
        {"background": True},
        {"moderation": {"model": "omni-moderation-latest"}},
        {"messages": []},
        {"max_tokens": 5},
        {"response_format": {"type": "json_object"}},
        {"stop": ["END"]},
        {"n": 2},
    ],
)
def test_what_only_openai_or_another_api_can_do_is_refused_by_name(members):
    (name,) = members
    with pytest.raises(UnsupportedParameter, match=f"'{name}'") as caught:
        read(**members)
    assert caught.value.param == name
    assert caught.value.hint


def test_who_relies_on_kept_state_is_told_to_send_everything():
    with pytest.raises(UnsupportedParameter) as caught:
        read(previous_response_id="resp_1")
    assert caught.value.hint == "Send the whole conversation as input."


@pytest.mark.parametrize(
    ("members", "place"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": 5}, "model"),
        ({"input": None}, "input"),
        ({"input": 5}, "input"),
        ({"input": {"role": "user"}}, "input"),
        ({"input": []}, "input"),
        ({"instructions": ["a"]}, "instructions"),
        ({"stream": "true"}, "stream"),
        ({"store": "no"}, "store"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"max_output_tokens": 1.5}, "max_output_tokens"),
        ({"max_tool_calls": 0}, "max_tool_calls"),
        ({"metadata": {"a": 5}}, "metadata.a"),
        ({"metadata": [1]}, "metadata"),
        ({"include": "x"}, "include"),
        ({"include": [5]}, "include[0]"),
        ({"service_tier": "gold"}, "service_tier"),
        ({"truncation": "middle"}, "truncation"),
        ({"prompt_cache_retention": "1y"}, "prompt_cache_retention"),
        ({"prompt_cache_key": 5}, "prompt_cache_key"),
        ({"user": 5}, "user"),
        ({"safety_identifier": ["a"]}, "safety_identifier"),
        ({"text": "plain"}, "text"),
        ({"text": {"verbosity": "loud"}}, "text.verbosity"),
        ({"reasoning": "high"}, "reasoning"),
        ({"tools": {"type": "function"}}, "tools"),
        ({"tools": ["f"]}, "tools[0]"),
        ({"background": "yes"}, "background"),
        ({"parallel_tool_calls": 0}, "parallel_tool_calls"),
    ],
)
def test_a_wrong_member_is_named(members, place):
    with pytest.raises(BadRequest) as caught:
        read(**members)
    assert caught.value.param == place
    assert caught.value.code == "invalid_request"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"hi"',
        b"{",
        b"\xff",
        b'{"model":"m","model":"n","input":"hi"}',
        b'{"model":"m","input":"hi","temperature":NaN}',
        b'{"model":"m","input":"hi","metadata":{"a":1e999}}',
        b'{"model":"m","input":"hi","max_output_tokens":' + b"9" * 5000 + b"}",
        b'{"model":"m","input":' + b"[" * 200 + b"]" * 200 + b"}",
        b'{"model":"m","input":' + b"[" * 100_000,
    ],
)
def test_what_is_no_request_at_all(body):
    with pytest.raises(BadRequest) as caught:
        parse(body)
    assert caught.value.status == 400


_JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 30),
    st.floats(allow_nan=False),
    st.text(max_size=5),
    st.sampled_from(["message", "function_call", "reasoning", "auto", "\ud800", "data:a/b;base64,QQ=="]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.sampled_from(["type", "role", "content", "id", "name"]), st.text(max_size=5), max_size=3),
)


def _read_or_refused(body):
    """What it says, or the sentence of its refusal; anything else that is raised is a fault."""
    try:
        return parse(body).messages
    except BadRequest as refusal:
        return refusal.sentence


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(golden.CASES)), st.data())
def test_any_change_to_a_request_is_read_or_refused(name, data):
    body = json.loads(golden.asked(name))
    for _ in range(data.draw(st.integers(1, 3))):
        holder, key = data.draw(st.sampled_from(_places(body)))
        holder[key] = copy.deepcopy(data.draw(_JUNK))
    assert _read_or_refused(json.dumps(body).encode())


def _places(value):
    """Every member and element, as the holder and its key."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, inner in pairs:
        found.append((value, key))
        if isinstance(inner, dict | list):
            found.extend(_places(inner))
    return found


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(golden.CASES)), st.data())
def test_any_cut_or_flipped_byte_is_read_or_refused(name, data):
    body = bytearray(golden.asked(name))
    place = data.draw(st.integers(0, len(body) - 1))
    body[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(place, len(body)))
    assert _read_or_refused(bytes(body[:cut]))
