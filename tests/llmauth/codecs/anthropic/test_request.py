"""The body that Anthropic gets, case by case and rule by rule."""

import json
import re
from dataclasses import replace

import pytest

from llmauth.chat.messages import (
    ChatRequest,
    Choose,
    JsonSchema,
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
from llmauth.codecs.anthropic import answer_tool
from llmauth.codecs.anthropic.codec import AnthropicProvider
from llmauth.errors import BadRequest, UnsupportedParameter
from tests.golden.cases import PERSON, WEATHER, asked, assistant, cases, user
from tests.llmauth.codecs.anthropic.golden import MODEL, golden

OLD = "claude-opus-4-1"
NEW = "claude-opus-4-8"
NEWEST = "claude-fable-5-2"


def rendered(request, model=MODEL, host="direct"):
    return json.loads(AnthropicProvider(model, host).render_request(request).body)


def dropped(request, model=MODEL, host="direct"):
    return AnthropicProvider(model, host).render_request(request).dropped


@pytest.mark.parametrize("name", cases())
def test_golden_requests(name):
    assert rendered(cases()[name].request) == json.loads(golden(name, "request.json"))


def test_what_the_golden_model_leaves_out_is_told():
    found = {name: told for name, case in cases().items() if (told := dropped(case.request))}
    assert found == {"parameters": ("top_p",)}


def test_an_old_model_takes_both_sampling_parameters():
    body = rendered(cases()["parameters"].request, "claude-opus-4-0")
    assert (body["temperature"], body["top_p"]) == (0.5, 0.25)


@pytest.mark.parametrize("model", [NEW, NEWEST, "claude-who-knows"])
def test_new_models_take_no_sampling(model):
    request = asked(user("Hi"), parameters={Word.TEMPERATURE: 1, Word.TOP_P: 0.5, Word.TOP_K: 5})
    assert not {"temperature", "top_p", "top_k"} & set(rendered(request, model))
    assert dropped(request, model) == ("temperature", "top_p", "top_k")


def test_a_temperature_is_clamped():
    assert rendered(asked(user("Hi"), parameters={Word.TEMPERATURE: 1.7}))["temperature"] == 1


def test_while_it_thinks_it_takes_no_sampling():
    parameters = {Word.TEMPERATURE: 0.5, Word.TOP_K: 5, Word.TOP_P: 0.5, Word.MAX_TOKENS: 8000}
    request = asked(user("Hi"), reasoning=Reasoning("low"), parameters=parameters)
    assert dropped(request) == ("temperature", "top_k", "top_p")
    assert dropped(replace(request, reasoning=Reasoning("none"))) == ("top_p",)
    high = asked(user("Hi"), reasoning=Reasoning("low"), parameters={Word.TOP_P: 0.97})
    assert rendered(high)["top_p"] == 0.97


@pytest.mark.parametrize("output", [{}, {"tool_choice": Choose.REQUIRED}, {"tool_choice": Named("get_weather")}])
def test_a_forced_tool_and_thinking_exclude_each_other(output):
    request = asked(user("Hi"), tools=(WEATHER,), reasoning=Reasoning("high"), **output)
    assert ("thinking" in rendered(request)) == (not output)
    assert dropped(request) == (("reasoning_effort",) if output else ())


def test_the_newest_models_cannot_be_forced():
    request = asked(user("Hi"), tools=(WEATHER,), tool_choice=Choose.REQUIRED)
    with pytest.raises(UnsupportedParameter, match="tool_choice required") as refused:
        rendered(request, NEWEST)
    assert refused.value.param == "tool_choice required"
    assert rendered(request, NEW)["tool_choice"] == {"type": "any"}


def test_adaptive_thinking():
    body = rendered(asked(user("Hi"), reasoning=Reasoning("xhigh", shown=True)), NEW)
    assert body["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert body["output_config"] == {"effort": "xhigh"}


def test_effort_and_schema_stand_side_by_side():
    body = rendered(asked(user("Hi"), reasoning=Reasoning("low"), output=JsonSchema(PERSON)), NEW)
    assert body["output_config"] == {"effort": "low", "format": {"type": "json_schema", "schema": PERSON}}


@pytest.mark.parametrize(("effort", "told"), [("low", ("reasoning_effort",)), ("none", ())])
def test_a_model_that_does_not_think(effort, told):
    request = asked(user("Hi"), reasoning=Reasoning(effort))
    assert "thinking" not in rendered(request, "claude-3-5-haiku-20241022")
    assert dropped(request, "claude-3-5-haiku-20241022") == told


def test_no_room_to_think():
    request = asked(user("Hi"), reasoning=Reasoning("high"), parameters={Word.MAX_TOKENS: 1000})
    assert "thinking" not in rendered(request)
    assert dropped(request) == ("reasoning_effort",)


LOOP = (user("Weather?"), assistant(ToolCall("c", "get_weather", "{}")), Message("tool", (ToolResult("c", ()),)))


def test_a_loop_whose_thinking_did_not_come_back_goes_on_without():
    request = asked(*LOOP, tools=(WEATHER,), reasoning=Reasoning("high"))
    assert "thinking" not in rendered(request)
    assert dropped(request) == ("reasoning_effort",)
    assert "thinking" in rendered(request, NEW)  # adaptive thinking asks for no such block
    assert "thinking" not in rendered(replace(request, messages=(*LOOP, user("Go on"))))
    assert "thinking" in rendered(replace(request, messages=(*LOOP, assistant("Sunny."), user("And now?"))))


def test_only_claudes_own_thinking_goes_back():
    own = Signature("anthropic", "a")
    history = assistant(
        Thinking("unsigned"),
        Thinking("foreign", Signature("gemini", "g")),
        Redacted(Signature("openai", "o")),
        Thinking("own", own),
        Redacted(own),
        "Hi.",
    )
    content = rendered(asked(user("Hi"), history, user("Again")))["messages"][1]["content"]
    assert [block["type"] for block in content] == ["thinking", "redacted_thinking", "text"]
    assert content[0] == {"type": "thinking", "thinking": "own", "signature": "a"}


def test_an_older_model_gives_a_schema_as_a_forced_tool():
    request = asked(user("Who?"), output=JsonSchema(PERSON, "person", "A person."))
    body = rendered(request, OLD)
    assert body["tools"] == [{"name": answer_tool.NAME, "description": "A person.", "input_schema": PERSON}]
    assert body["tool_choice"] == {"type": "tool", "name": answer_tool.NAME}
    assert "output_config" not in body
    beside = rendered(replace(request, tools=(WEATHER,)), OLD)
    assert [tool["name"] for tool in beside["tools"]] == ["get_weather", answer_tool.NAME]
    assert beside["tool_choice"] == {"type": "any"}
    thinking = replace(request, reasoning=Reasoning("high"))
    assert dropped(thinking, OLD) == ("reasoning_effort",)


def test_strictness_is_told_to_those_who_check():
    request = asked(user("Hi"), tools=(replace(WEATHER, strict=True),))
    assert rendered(request)["tools"][0]["strict"] is True
    assert "strict" not in rendered(request, OLD)["tools"][0]
    assert dropped(request, OLD) == ("strict",)


def test_a_tool_without_a_schema_takes_an_object():
    tool = rendered(asked(user("Hi"), tools=(Tool("ping"),)))["tools"][0]
    assert tool == {"name": "ping", "input_schema": {"type": "object"}}


@pytest.mark.parametrize("more", [{}, {"tools": (WEATHER,), "tool_choice": Choose.NONE}])
def test_one_call_at_a_time_says_nothing_where_there_are_none(more):
    request = asked(user("Hi"), parameters={Word.PARALLEL_TOOL_CALLS: False}, **more)
    assert "disable_parallel_tool_use" not in json.dumps(rendered(request))
    assert dropped(request) == ()


def test_blank_texts_and_empty_turns_are_left_out_and_roles_alternate():
    request = asked(user("Hi"), assistant("", " \n"), user(""), user("Still there?"), Message("system", (Text(""),)))
    assert rendered(request)["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": "Still there?"}]}
    ]
    assert "system" not in rendered(request)


def test_results_come_first_in_their_turn():
    request = asked(user("Weather?"), assistant(ToolCall("c", "f", "")), user("Wait."), *LOOP[2:])
    kinds = [block["type"] for block in rendered(request)["messages"][2]["content"]]
    assert kinds == ["tool_result", "text"]


@pytest.mark.parametrize(
    ("messages", "roles"),
    [
        ((user("a"), Message("system", (Text("b"),))), ["user", "system"]),
        ((user("a"), Message("developer", (Text("b"),)), assistant("c")), ["user", "system", "assistant"]),
        ((user("a"), Message("system", (Text("b"),)), user("c")), ["user"]),
        ((user("a"), assistant("b"), Message("system", (Text("c"),))), ["user", "assistant", "user"]),
    ],
)
def test_a_later_system_message_stays_where_the_model_takes_it(messages, roles):
    assert [turn["role"] for turn in rendered(asked(*messages), NEW)["messages"]] == roles
    assert "system" not in [turn["role"] for turn in rendered(asked(*messages), OLD)["messages"]]


@pytest.mark.parametrize(
    "word", [Word.N, Word.LOGPROBS, Word.TOP_LOGPROBS, Word.MODALITIES, Word.AUDIO, Word.WEB_SEARCH]
)
def test_what_would_change_the_answer_is_refused_by_the_clients_name(word):
    request = asked(user("Hi"), parameters={word: 2}, spelling={word: "as the client says"})
    with pytest.raises(UnsupportedParameter, match="'as the client says' is not supported by Anthropic") as refused:
        rendered(request)
    assert refused.value.param == "as the client says"


@pytest.mark.parametrize("word", [Word.SEED, Word.LOGIT_BIAS, Word.METADATA, Word.STORE, Word.VERBOSITY])
def test_what_is_harmless_is_left_out_and_told_or_refused_when_strict(word):
    request = asked(user("Hi"), parameters={word: 1})
    assert dropped(request) == (word.value,)
    with pytest.raises(UnsupportedParameter):
        AnthropicProvider(MODEL).render_request(request, strict=True)


def test_strict_refuses_what_only_this_request_cannot_have():
    with pytest.raises(UnsupportedParameter, match="top_p"):
        AnthropicProvider(MODEL).render_request(cases()["parameters"].request, strict=True)


@pytest.mark.parametrize(
    ("tier", "said"), [("auto", "auto"), ("priority", "auto"), ("default", "standard_only"), ("flex", "standard_only")]
)
def test_tiers(tier, said):
    request = asked(user("Hi"), parameters={Word.SERVICE_TIER: tier})
    assert rendered(request)["service_tier"] == said
    assert dropped(request, host="vertex") == ("service_tier",)


def test_a_blank_stop_sequence_is_refused():
    with pytest.raises(UnsupportedParameter, match="white space"):
        rendered(asked(user("Hi"), parameters={Word.STOP: ("\n",)}))


def test_a_user_is_named():
    assert rendered(asked(user("Hi"), parameters={Word.USER: "u1"}))["metadata"] == {"user_id": "u1"}


@pytest.mark.parametrize("name", ["ada@example.com", "Ada <ada@example.com>", "+49 (30) 123-456", "x" * 257])
def test_a_user_is_not_told_by_address(name):
    body = rendered(asked(user("Hi"), parameters={Word.USER: name}))
    assert re.fullmatch("[0-9a-f]{64}", body["metadata"]["user_id"])
    assert body == rendered(asked(user("Hi"), parameters={Word.USER: name}))
    assert body != rendered(asked(user("Hi"), parameters={Word.USER: f"{name}1"}))


def test_an_endless_number_is_refused():
    with pytest.raises(BadRequest, match="number"):
        rendered(ChatRequest(model="m", messages=(user("Hi"),), parameters={Word.TOP_P: float("inf")}))
