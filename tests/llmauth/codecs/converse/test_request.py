"""The body of Converse: what the golden cases do not show."""

import json
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmauth.chat.messages import (
    Cache,
    Choose,
    Data,
    Document,
    Image,
    JsonObject,
    JsonSchema,
    Message,
    Reasoning,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from llmauth.chat.words import Word
from llmauth.errors import BadRequest, UnsupportedParameter
from tests.golden.cases import asked, assistant, cases, user
from tests.llmauth.codecs.converse.goldens import MODEL, provider

OLD, NEW = "anthropic.claude-3-haiku-20240307-v1:0", "anthropic.claude-opus-4-8"
NOVA, LLAMA = "amazon.nova-pro-v1:0", "meta.llama3-70b-instruct-v1:0"
TOOL = Tool("look")


def rendered(request, model=MODEL, *, strict=False):
    asked_for = provider(model).render_request(request, strict=strict)
    return json.loads(asked_for.body), asked_for.dropped


def with_parameters(**parameters):
    return asked(user("a"), parameters={Word[name.upper()]: value for name, value in parameters.items()})


def test_an_image_by_its_address_is_refused_by_name():
    """Nothing is fetched for a client: the address may be one of ours."""
    with pytest.raises(UnsupportedParameter, match=r"image by URL.*data: URL") as caught:
        rendered(cases()["image by link"].request)
    assert caught.value.param == "image by URL"


@pytest.mark.parametrize("word", [Word.N, Word.LOGPROBS, Word.MODALITIES, Word.WEB_SEARCH])
def test_what_changes_the_meaning_is_refused_as_the_client_spelled_it(word):
    request = replace(asked(user("a"), parameters={word: 2}), spelling={word: "their_name"})
    with pytest.raises(UnsupportedParameter) as caught:
        rendered(request)
    assert caught.value.param == "their_name"
    assert "'their_name' is not supported by Bedrock" in caught.value.message


def test_what_changes_nothing_is_left_out_and_told_or_refused_if_strict():
    request = replace(with_parameters(seed=1, logit_bias={"1": 2}), unknown=("surprise",))
    body, dropped = rendered(request)
    assert dropped == ("seed", "logit_bias", "surprise")
    assert "inferenceConfig" not in body
    with pytest.raises(UnsupportedParameter, match="seed"):
        rendered(request, strict=True)


def test_top_k_has_a_place_in_two_families():
    request = with_parameters(top_k=40)
    assert rendered(request)[0]["additionalModelRequestFields"] == {"top_k": 40}
    assert rendered(request, NOVA)[0]["additionalModelRequestFields"] == {"inferenceConfig": {"topK": 40}}
    assert rendered(request, LLAMA)[1] == ("top_k",)


def test_newer_claude_takes_one_of_two_and_the_newest_none():
    request = with_parameters(temperature=0.5, top_p=0.9)
    body, dropped = rendered(request)
    assert (body["inferenceConfig"], dropped) == ({"temperature": 0.5}, ("top_p",))
    assert rendered(request, OLD)[0]["inferenceConfig"] == {"temperature": 0.5, "topP": 0.9}
    body, dropped = rendered(request, NEW)
    assert ("inferenceConfig" in body, dropped) == (False, ("temperature", "top_p"))
    with pytest.raises(UnsupportedParameter, match="top_p"):
        rendered(request, strict=True)


def test_what_does_not_go_with_thinking_is_left_out_and_told():
    request = replace(with_parameters(temperature=0.5, top_p=0.9, top_k=4, max_tokens=8000), reasoning=Reasoning("low"))
    body, dropped = rendered(request)
    assert body["inferenceConfig"] == {"maxTokens": 8000}
    assert body["additionalModelRequestFields"] == {"thinking": {"type": "enabled", "budget_tokens": 1024}}
    assert sorted(dropped) == ["temperature", "top_k", "top_p"]
    mild = replace(with_parameters(temperature=1, max_tokens=8000), reasoning=Reasoning("low"))
    assert rendered(mild)[0]["inferenceConfig"] == {"maxTokens": 8000, "temperature": 1}


def test_a_budget_without_a_limit_brings_one():
    body, _ = rendered(asked(user("a"), reasoning=Reasoning("low")))
    limit = body["inferenceConfig"]["maxTokens"]
    assert limit > body["additionalModelRequestFields"]["thinking"]["budget_tokens"]
    assert "inferenceConfig" not in rendered(asked(user("a"), reasoning=Reasoning("low")), NEW)[0]


@pytest.mark.parametrize(
    "request_of",
    [
        lambda: asked(user("a"), reasoning=Reasoning("high"), tools=(TOOL,), tool_choice=Choose.REQUIRED),
        lambda: asked(user("a"), reasoning=Reasoning("high"), parameters={Word.MAX_TOKENS: 500}),
    ],
    ids=["forced tool", "no room"],
)
def test_thinking_that_cannot_be_is_told(request_of):
    body, dropped = rendered(request_of())
    assert "additionalModelRequestFields" not in body
    assert dropped == ("reasoning_effort",)
    with pytest.raises(UnsupportedParameter, match="reasoning_effort"):
        rendered(request_of(), strict=True)


def test_one_call_at_a_time_without_tools_is_no_matter():
    request = with_parameters(parallel_tool_calls=False)
    body, dropped = rendered(request, strict=True)
    assert ("additionalModelRequestFields" in body, dropped) == (False, ())
    _, dropped = rendered(replace(request, tools=(TOOL,)), NOVA)
    assert dropped == ("parallel_tool_calls",)


def test_user_and_metadata_in_allowed_characters_and_number():
    body, _ = rendered(with_parameters(user="Ada <ada@example.com>", metadata={"työ": "a|b"}))
    assert body["requestMetadata"] == {"ty_": "a_b", "user": "Ada _ada@example.com_"}
    body, dropped = rendered(with_parameters(user="ada", metadata={str(n): "v" for n in range(16)}))
    assert (body["requestMetadata"], dropped) == ({"user": "ada"}, ("metadata",))
    body, dropped = rendered(with_parameters(metadata={str(n): "v" for n in range(16)}))
    assert (len(body["requestMetadata"]), dropped) == (16, ())
    assert "requestMetadata" not in rendered(with_parameters(metadata={}))[0]


def test_service_tier():
    assert rendered(with_parameters(service_tier="flex"))[0]["serviceTier"] == {"type": "flex"}


def test_roles_alternate_whatever_the_client_wrote():
    request = asked(user("a"), user("b"), assistant("c"), assistant("", "d"), user(""), assistant("e"), user("f"))
    body, _ = rendered(request)
    assert [(turn["role"], [block["text"] for block in turn["content"]]) for turn in body["messages"]] == [
        ("user", ["a", "b"]),
        ("assistant", ["c", "d", "e"]),
        ("user", ["f"]),
    ]


def test_results_come_first_and_together_in_the_turn_after_their_calls():
    calls = assistant(ToolCall("1", "look", "{}"), ToolCall("2", "look", "{}"))
    results = [Message("tool", (ToolResult(call, (Text(call),)),)) for call in ("1", "2")]
    late = Message("system", (Text("Be brief."),))
    body, _ = rendered(asked(user("a"), calls, user("wait"), results[0], late, results[1], tools=(TOOL,)))
    assert [next(iter(block)) for block in body["messages"][2]["content"]] == ["toolResult"] * 2 + ["text"] * 2


@pytest.mark.parametrize(
    "messages",
    [(), (assistant("Hello."), user("a")), (Message("system", (Text("a"),)),), (user(" "),), (user(), assistant("a"))],
)
def test_a_conversation_that_bedrock_cannot_begin_with_is_refused_in_words(messages):
    with pytest.raises(BadRequest, match="start with a message of the user") as caught:
        rendered(asked(*messages))
    assert (caught.value.param, caught.value.code) == ("messages", "invalid_request")


def test_blank_system_texts_are_left_out():
    body, _ = rendered(asked(Message("system", (Text(" ", Cache()), Text("b"))), user("a")))
    assert body["system"] == [{"text": "b"}]


def test_thinking_of_others_leaves_no_trace():
    body, _ = rendered(asked(user("a"), assistant(Thinking("Hm.")), user("b")))
    assert [turn["role"] for turn in body["messages"]] == ["user"]


def test_a_schema_by_each_way():
    request = asked(user("a"), output=JsonSchema({"type": "object"}, "thing", "A thing."))
    body, _ = rendered(request)
    told = {"name": "thing", "description": "A thing.", "schema": '{"type":"object"}'}
    assert body["outputConfig"]["textFormat"] == {"type": "json_schema", "structure": {"jsonSchema": told}}
    body, _ = rendered(request, NOVA)
    assert "outputConfig" not in body
    assert body["toolConfig"]["toolChoice"] == {"tool": {"name": "llmauth_json_answer"}}


def test_words_where_there_is_no_member():
    history = (assistant(ToolCall("c", "look", "{}")), Message("tool", (ToolResult("c", (Text("b"),)),)))
    request = asked(user("a"), *history, tools=(TOOL,), tool_choice=Choose.NONE, output=JsonObject())
    body, _ = rendered(request, NOVA)
    assert [block["text"][:12] for block in body["system"]] == ["Answer with ", "Answer in wo"]
    body, _ = rendered(request)
    assert len(body["system"]) == 1
    assert body["additionalModelRequestFields"] == {"tool_choice": {"type": "none"}}


def test_a_family_without_caches_gets_no_cache_points():
    body, dropped = rendered(cases()["cache"].request, LLAMA)
    assert "cachePoint" not in json.dumps(body)
    assert dropped == ("cache_control",)


def test_only_claude_is_asked_for_more_of_its_answer():
    assert "additionalModelResponseFieldPaths" in rendered(asked(user("a")))[0]
    assert "additionalModelResponseFieldPaths" not in rendered(asked(user("a")), NOVA)[0]


def test_text_of_a_client_that_is_no_unicode_stays_harmless():
    assert provider().render_request(asked(user("\ud800"))).body.isascii()


PARTS = st.one_of(
    st.builds(Text, st.text(max_size=5), st.none() | st.builds(Cache, st.sampled_from([None, "5m", "1h"]))),
    st.builds(ToolCall, st.text(max_size=80), st.text(max_size=80), st.text(max_size=8)),
    st.builds(ToolResult, st.text(max_size=80), st.tuples(st.builds(Text, st.text(max_size=5))), st.booleans()),
    st.just(Image(Data("image/png", "QQ=="))),
    st.builds(Document, st.just(Data("application/pdf", "QQ==")), st.text(max_size=20)),
)
MESSAGES = st.builds(Message, st.sampled_from(["user", "assistant", "tool", "system"]), st.lists(PARTS).map(tuple))


@settings(max_examples=60, deadline=None)
@given(st.lists(MESSAGES, max_size=5).map(tuple), st.sampled_from([MODEL, NOVA, LLAMA]))
def test_whatever_is_said_roles_alternate_and_no_block_is_empty(messages, model):
    body, _ = rendered(asked(user("a"), *messages), model)
    roles = [turn["role"] for turn in body["messages"]]
    assert all(a != b for a, b in pairwise(roles))
    assert roles[0] == "user"
    assert all(turn["content"] for turn in body["messages"])
