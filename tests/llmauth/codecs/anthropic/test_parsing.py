"""Messages requests of clients, member by member, and back from what is sent to Anthropic itself."""

import json
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmauth.chat.messages import (
    Cache,
    ChatRequest,
    Choose,
    Data,
    Document,
    Image,
    JsonSchema,
    Link,
    Message,
    Named,
    Reasoning,
    Redacted,
    Signature,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from llmauth.chat.words import Word
from llmauth.codecs.anthropic.codec import AnthropicProvider
from llmauth.codecs.anthropic.parsing import MEMBERS, SPELLING, parse_request
from llmauth.errors import BadRequest, UnsupportedParameter
from tests.golden.cases import PERSON, cases
from tests.llmauth.codecs.anthropic.golden import MODEL, golden


def body(**more):
    told = {"model": "m", "max_tokens": 10, "messages": [{"role": "user", "content": "Hi"}], **more}
    return json.dumps({name: value for name, value in told.items() if value is not ...}).encode()


def parsed(**more):
    return parse_request(body(**more))


def test_the_least():
    assert parsed() == ChatRequest(
        model="m",
        messages=(Message("user", (Text("Hi"),)),),
        parameters={Word.MAX_TOKENS: 10},
        spelling=SPELLING,
    )


# Cases whose request can be said in Messages without loss: what the provider half folds or converts is not among them.
SAME = [name for name in cases() if name not in {"system", "system later", "json object", "json schema", "parameters"}]


@pytest.mark.parametrize("name", SAME)
def test_golden_requests_are_read(name):
    expected = cases()[name].request
    found = parse_request(golden(name, "request.json"))
    limit = {Word.MAX_TOKENS: 16384} | dict(expected.parameters)
    reasoning = expected.reasoning and Reasoning(budget=2048 if expected.reasoning.effort == "medium" else 1024)
    messages = tuple(
        replace(message, parts=tuple(map(_without_detail, message.parts))) for message in expected.messages
    )
    choice = Choose.AUTO if Word.PARALLEL_TOOL_CALLS in limit else expected.tool_choice
    assert found == replace(
        expected,
        model=MODEL,
        messages=messages,
        parameters=limit,
        reasoning=reasoning,
        tool_choice=choice,
        spelling=SPELLING,
    )


def _without_detail(part):
    return replace(part, detail=None) if isinstance(part, Image) else part


def test_parameters():
    told = {"temperature": 0.5, "top_p": 0.9, "top_k": 4, "stop_sequences": ["a"], "metadata": {"user_id": "u"}}
    assert parsed(**told, service_tier="standard_only").parameters == {
        Word.MAX_TOKENS: 10,
        Word.TEMPERATURE: 0.5,
        Word.TOP_P: 0.9,
        Word.TOP_K: 4,
        Word.STOP: ("a",),
        Word.USER: "u",
        Word.SERVICE_TIER: "default",
    }


def test_what_changes_nothing_is_not_said():
    told = parsed(temperature=None, stop_sequences=[], metadata={}, service_tier="auto", stream=False, thinking=None)
    assert told == parsed()


def test_a_stream():
    assert parsed(stream=True).stream


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, Reasoning(budget=2000)),
        ({"thinking": {"type": "adaptive"}}, Reasoning()),
        ({"thinking": {"type": "adaptive", "display": "omitted"}}, Reasoning(shown=False)),
        ({"thinking": {"type": "disabled"}, "output_config": {"effort": "low"}}, Reasoning("none")),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}, Reasoning("max")),
        ({"output_config": {"effort": "high"}}, Reasoning("high")),
        ({"output_config": {}}, None),
    ],
)
def test_reasoning(told, meant):
    assert parsed(**told).reasoning == meant


def test_a_schema():
    told = {"format": {"type": "json_schema", "schema": PERSON}}
    assert parsed(output_config=told).output == JsonSchema(PERSON, strict=True)
    told["format"]["schema"] = {"type": "object"}
    assert parsed(output_config=told).output == JsonSchema({"type": "object"})


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ({"type": "auto"}, Choose.AUTO),
        ({"type": "any"}, Choose.REQUIRED),
        ({"type": "none"}, Choose.NONE),
        ({"type": "tool", "name": "f"}, Named("f")),
    ],
)
def test_tool_choices(told, meant):
    assert parsed(tool_choice=told).tool_choice == meant
    single = parsed(tool_choice={**told, "disable_parallel_tool_use": True})
    assert single.parameters[Word.PARALLEL_TOOL_CALLS] is False


def test_tools():
    plain = {"name": "f", "input_schema": {"type": "object"}}
    full = {**plain, "type": "custom", "description": "d", "strict": True, "cache_control": {"type": "ephemeral"}}
    assert parsed(tools=[plain, full]).tools == (
        Tool("f", "", {"type": "object"}),
        Tool("f", "d", {"type": "object"}, True, Cache()),
    )


@pytest.mark.parametrize("kind", ["web_search_20250305", "bash_20250124", "computer_20251124", "mcp_toolset"])
def test_tools_of_anthropics_own_are_refused_by_name(kind):
    with pytest.raises(UnsupportedParameter, match=kind) as refused:
        parsed(tools=[{"type": kind, "name": "x"}])
    assert refused.value.param == "tools[0].type"


def test_unknown_members_are_left_out_and_told():
    told = parsed(
        container={"id": "c"},
        mcp_servers=[],
        context_management={},
        inference_geo=None,
        metadata={"user_id": "u", "team": "t"},
        output_config={"task_budget": {}},
        tools=[{"name": "f", "input_schema": {}, "defer_loading": True, "eager_input_streaming": None}],
    )
    assert told.unknown == (
        "container",
        "mcp_servers",
        "context_management",
        "metadata.team",
        "output_config.task_budget",
        "tools.defer_loading",
    )
    assert not set(told.unknown) & set(MEMBERS)


def test_an_effort_is_named_as_it_was_asked_for():
    thinking = {"type": "enabled", "budget_tokens": 1024}
    assert parsed(output_config={"effort": "low"}).named(Word.REASONING) == "output_config.effort"
    assert parsed(output_config={"effort": "low"}, thinking=thinking).named(Word.REASONING) == "thinking"
    assert parsed(thinking=thinking).named(Word.REASONING) == "thinking"


def test_a_thread_is_refused_since_messages_are_missing():
    with pytest.raises(UnsupportedParameter, match="only Anthropic keeps") as refused:
        parsed(thread={"type": "continue", "previous_message_id": "msg_1"})
    assert refused.value.code == "thread_unsupported_request"
    assert parsed(thread=None).unknown == ()


def test_results_are_turns_of_their_own():
    result = {"type": "tool_result", "tool_use_id": "1", "content": "a"}
    text = {"type": "text", "text": "b"}
    messages = [
        {"role": "user", "content": [result, result]},
        {"role": "user", "content": [result, text]},
        {"role": "assistant", "content": "c"},
        {"role": "user", "content": [text, result]},
    ]
    roles = [(message.role, len(message.parts)) for message in parsed(messages=messages).messages]
    assert roles == [("tool", 3), ("user", 1), ("assistant", 1), ("user", 1), ("tool", 1)]


def test_system_messages_stay_where_they_are():
    messages = [{"role": "user", "content": "a"}, {"role": "system", "content": [{"type": "text", "text": "b"}]}]
    told = parsed(system=[{"type": "text", "text": "s"}], messages=messages)
    assert [message.role for message in told.messages] == ["system", "user", "system"]


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"model": ...}, "model"),
        ({"model": ""}, "model"),
        ({"model": 1}, "model"),
        ({"max_tokens": ...}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"messages": ...}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"system": 1}, "system"),
        ({"temperature": 1.5}, "temperature"),
        ({"top_p": "x"}, "top_p"),
        ({"top_k": 1.5}, "top_k"),
        ({"stop_sequences": [1]}, "stop_sequences[0]"),
        ({"stop_sequences": "x"}, "stop_sequences"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"stream": "yes"}, "stream"),
        ({"metadata": []}, "metadata"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"name": "f"}]}, "tools[0].input_schema"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "deep"}}, "thinking.type"),
        ({"output_config": {"effort": "huge"}}, "output_config.effort"),
        ({"output_config": {"format": {"type": "grammar"}}}, "output_config.format.type"),
    ],
)
def test_what_is_wrong_is_named(more, param):
    with pytest.raises(BadRequest) as refused:
        parsed(**more)
    assert (refused.value.param, refused.value.code) == (param, "invalid_request")
    assert param in refused.value.message


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"\xff", b"null", b'{"model":"a","model":"b"}', b'{"model":NaN}', b"[" * 10_000, b"1" * 5000],
)
def test_what_is_no_request_is_refused(data):
    with pytest.raises(BadRequest):
        parse_request(data)


def test_a_request_to_count_needs_no_limit():
    assert parse_request(body(max_tokens=...), counting=True).parameters == {}


TEXT = st.text(min_size=1, max_size=12).filter(lambda text: bool(text.strip()))
CACHE = st.none() | st.builds(Cache, st.sampled_from([None, "5m", "1h"]))
OWN = st.builds(Signature, st.just("anthropic"), st.text("abc+/=", min_size=1, max_size=9))
TEXTS = st.builds(Text, TEXT, CACHE)
IMAGES = st.builds(Image, st.builds(Data, st.sampled_from(["image/png", "image/jpeg"]), st.just("aa==")), cache=CACHE)
DOCUMENTS = st.builds(
    Document,
    st.sampled_from(
        [Data("application/pdf", "aa=="), Data("text/plain", "Wm/Dqwo="), Link("https://a.example", "application/pdf")]
    ),
    st.none() | TEXT,
    CACHE,
)
IDS = st.text("abcXYZ019_-", min_size=1, max_size=12)
ARGUMENTS = st.sampled_from(["{}", '{"a":1}', '{"ü":[null,{"b":"c"}]}', "broken"])
CALLS = st.builds(ToolCall, IDS, IDS, ARGUMENTS, cache=CACHE)
RESULTS = st.builds(ToolResult, IDS, st.lists(TEXTS | IMAGES | DOCUMENTS, max_size=3).map(tuple), st.booleans(), CACHE)
THOUGHTS = st.builds(Thinking, TEXT, OWN) | st.builds(Redacted, OWN)


def turns(role, parts, least=1):
    return st.lists(parts, min_size=least, max_size=3).map(lambda found: Message(role, tuple(found)))


PAIRS = st.tuples(turns("user", TEXTS | IMAGES | DOCUMENTS), turns("assistant", TEXTS | CALLS | THOUGHTS))
ASKED = st.builds(
    lambda system, pairs, last: (*system, *(message for pair in pairs for message in pair), last),
    st.lists(turns("system", TEXTS), max_size=1),
    st.lists(PAIRS, max_size=2),
    turns("user", TEXTS) | turns("tool", RESULTS),
)
TOOLS = st.lists(
    st.builds(Tool, IDS, st.just("") | TEXT, st.just({"type": "object"}), st.none() | st.booleans(), CACHE), max_size=2
)
PARAMETERS = st.fixed_dictionaries(
    {Word.MAX_TOKENS: st.integers(1, 9999)},
    optional={
        Word.STOP: st.lists(TEXT, min_size=1, max_size=2).map(tuple),
        Word.USER: IDS.map("u{}".format),
        Word.SERVICE_TIER: st.just("default"),
    },
)
EFFORTS = st.none() | st.sampled_from(["low", "medium", "high", "xhigh", "max"])
REASONING = st.none() | st.just(Reasoning("none")) | st.builds(Reasoning, EFFORTS, shown=st.none() | st.booleans())
REQUESTS = st.builds(
    ChatRequest,
    model=st.just("claude-opus-4-8"),
    messages=ASKED,
    tools=TOOLS.map(tuple),
    output=st.none() | st.just(JsonSchema(PERSON, strict=True)),
    reasoning=REASONING,
    parameters=PARAMETERS,
    stream=st.booleans(),
    spelling=st.just(SPELLING),
)


@settings(max_examples=150, deadline=None)
@given(REQUESTS)
def test_what_is_sent_is_read_back(request):
    sent = AnthropicProvider("claude-opus-4-8").render_request(request)
    assert parse_request(sent.body) == request
    assert sent.dropped == ()


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(cases())), st.data())
def test_hostile_bytes_raise_only_what_is_designed(name, data):
    told = bytearray(golden(name, "request.json"))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(told) - 1))
        told[at : at + data.draw(st.integers(0, 8))] = data.draw(st.sampled_from([b"", b"null", b'"', b"[", b"-1e999"]))
    with suppress(BadRequest):
        AnthropicProvider(MODEL).render_request(parse_request(bytes(told)))


@pytest.mark.parametrize(("where", "refused"), [("eu", True), ("us", True), ("global", False), (None, False)])
def test_where_a_prompt_may_go_is_not_left_out_in_silence(where, refused):
    body = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}], "inference_geo": where}
    if not refused:
        assert parse_request(json.dumps(body).encode()).model == "m"
        return
    with pytest.raises(BadRequest) as caught:
        parse_request(json.dumps(body).encode())
    assert caught.value.param == "inference_geo"
