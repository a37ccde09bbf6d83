"""Requests in Oracle's COHERE format, beside the golden ones."""

import json

import pytest

from llmauth.chat.messages import ChatRequest, Choose, Message, Reasoning, Text, Tool, ToolCall, ToolResult
from llmauth.chat.words import Word
from llmauth.codecs.oracle.codec import OracleProvider
from llmauth.demo.oracle_shapes import chat as emulated_chat
from llmauth.errors import BadRequest, UnsupportedParameter
from tests.golden.cases import asked, assistant, user

CODEC = OracleProvider("cohere.command-r-08-2024", "ocid1.compartment.oc1..a")


def rendered(request: ChatRequest) -> dict:
    envelope = json.loads(CODEC.render_request(request).body)
    emulated_chat(envelope)
    return envelope["chatRequest"]


def results(*pairs: tuple[str, str]) -> Message:
    return Message("tool", tuple(ToolResult(id_, (Text(text),)) for id_, text in pairs))


@pytest.mark.parametrize(
    ("word", "value", "sent"),
    [
        (Word.TEMPERATURE, 1.8, {"temperature": 1}),
        (Word.TOP_K, 5, {"topK": 5}),
        (Word.SEED, 7, {"seed": 7}),
        (Word.PRESENCE_PENALTY, -1.5, {"presencePenalty": 0}),
        (Word.FREQUENCY_PENALTY, 0.5, {"frequencyPenalty": 0.5}),
        (Word.LOGIT_BIAS, {"1": 2}, {}),
        (Word.PARALLEL_TOOL_CALLS, False, {}),
    ],
)
def test_parameters(word, value, sent):
    told = rendered(asked(user("Hi"), parameters={word: value}))
    assert {name: value for name, value in told.items() if name not in ("apiFormat", "message")} == sent


@pytest.mark.parametrize("word", [Word.N, Word.LOGPROBS, Word.WEB_SEARCH, Word.MODALITIES])
def test_what_changes_the_answer_is_refused(word):
    with pytest.raises(UnsupportedParameter):
        rendered(asked(user("Hi"), parameters={word: 2}))


def test_neighbours_of_one_role_are_one_turn():
    request = asked(user("One."), user("Two."), assistant("A."), assistant("B."), user("Three."), user("Four."))
    told = rendered(request)
    assert told["chatHistory"] == [{"role": "USER", "message": "One.\nTwo."}, {"role": "CHATBOT", "message": "A.B."}]
    assert told["message"] == "Three.\nFour."


def test_a_system_message_at_the_end_is_told_by_the_user():
    told = rendered(asked(user("Hi."), Message("developer", (Text("In French."),))))
    assert told == {"apiFormat": "COHERE", "message": "Hi.\n<system>\nIn French.\n</system>"}


def test_system_messages_alone():
    assert rendered(asked(Message("system", (Text("A."),)))) == {
        "apiFormat": "COHERE",
        "message": "",
        "preambleOverride": "A.",
    }


def test_the_assistant_cannot_have_the_last_word():
    with pytest.raises(UnsupportedParameter, match="ends with the assistant's own words") as caught:
        rendered(asked(user("Hi"), assistant("Well,")))
    assert caught.value.param == "messages"


def test_results_of_several_steps_are_told_each_in_its_place():
    first, second = ToolCall("a", "f", '{"x":1}'), ToolCall("b", "g", "")
    told = rendered(asked(user("Go"), assistant(first), results(("a", "1")), assistant(second), results(("b", "2"))))
    call, other = {"name": "f", "parameters": {"x": 1}}, {"name": "g", "parameters": {}}
    assert told["message"] == ""
    assert told["toolResults"] == [{"call": other, "outputs": [{"output": "2"}]}]
    assert told["chatHistory"] == [
        {"role": "USER", "message": "Go"},
        {"role": "CHATBOT", "message": "", "toolCalls": [call]},
        {"role": "TOOL", "toolResults": [{"call": call, "outputs": [{"output": "1"}]}]},
        {"role": "CHATBOT", "message": "", "toolCalls": [other]},
    ]


def test_a_result_of_no_call_is_refused():
    with pytest.raises(BadRequest, match="answers the call 'zz', which no message before it makes"):
        rendered(asked(user("Go"), results(("zz", "1"))))


@pytest.mark.parametrize("arguments", ["[]", "{", "5", "[" * 100_000])
def test_arguments_that_are_no_object_are_refused(arguments):
    call = ToolCall("a", "f", arguments)
    with pytest.raises(BadRequest, match="no JSON object"):
        rendered(asked(user("Go"), assistant(call), results(("a", "1"))))


def test_a_tool_with_more_than_one_level_is_refused_with_what_to_do():
    schema = {"type": "object", "properties": {"where": {"type": "object", "properties": {"city": {}}}}}
    with pytest.raises(UnsupportedParameter, match="the parameter 'where' of 'find' has more") as caught:
        rendered(asked(user("Hi"), tools=(Tool("find", "", schema),)))
    assert caught.value.hint == "Use a command-a model."
    assert caught.value.param == "tools"


def test_a_tool_is_told_by_its_name_where_nothing_describes_it():
    assert rendered(asked(user("Hi"), tools=(Tool("now"),)))["tools"] == [{"name": "now", "description": "now"}]


def test_a_choice_that_must_be_obeyed_is_refused_and_effort_left_out():
    with pytest.raises(UnsupportedParameter, match="use a command-a model"):
        rendered(asked(user("Hi"), tools=(Tool("now"),), tool_choice=Choose.REQUIRED))
    asked_for = CODEC.render_request(asked(user("Hi"), reasoning=Reasoning("high")))
    assert asked_for.dropped == ("reasoning_effort",)
