"""Requests in Gemini's form, beside the golden ones."""

import json

import pytest

from llmauth.chat.messages import (
    ChatRequest,
    Choose,
    Data,
    Image,
    JsonSchema,
    Message,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)
from llmauth.codecs.gemini.codec import GeminiProvider
from llmauth.errors import BadRequest
from tests.golden.cases import PNG, TIME, WEATHER, asked, assistant, cases, user
from tests.golden.gemini import text_of

CASES = cases("gemini")


def body(request: ChatRequest, model: str = "gemini-2.5-flash") -> dict:
    return json.loads(GeminiProvider(model).render_request(request).body)


@pytest.mark.parametrize("name", CASES)
def test_golden(name):
    assert body(CASES[name].request) == json.loads(text_of(f"{name}.request.json"))


@pytest.mark.parametrize("name", CASES)
def test_a_stream_is_asked_for_by_the_path_alone(name):
    assert body(CASES[name].streamed) == body(CASES[name].request)


def test_a_request_of_system_messages_alone_is_refused():
    with pytest.raises(BadRequest, match="at least one message") as caught:
        body(asked(Message("system", (Text("Be brief."),)), user("")))
    assert caught.value.code == "invalid_request"


@pytest.mark.parametrize(
    ("choice", "mode"),
    [(None, "VALIDATED"), (Choose.AUTO, "VALIDATED"), (Choose.REQUIRED, "ANY"), (Choose.NONE, "NONE")],
)
def test_strict_tools_are_validated(choice, mode):
    strict = type(TIME)("t", "", {}, strict=True)
    request = asked(user("Hi"), tools=(strict, WEATHER), tool_choice=choice)
    assert body(request)["toolConfig"] == {"functionCallingConfig": {"mode": mode}}
    assert body(request)["tools"][0]["functionDeclarations"][0] == {"name": "t"}


def test_a_schema_is_sent_as_it_was_written():
    schema = {"$defs": {"a": {"type": "string"}}, "anyOf": [{"$ref": "#/$defs/a"}, {"type": "null"}]}
    config = body(asked(user("Hi"), output=JsonSchema(schema)))["generationConfig"]
    assert config == {"responseMimeType": "application/json", "responseJsonSchema": schema}


@pytest.mark.parametrize(
    ("model", "config"),
    [
        ("gemini-2.5-pro", {"thinkingBudget": 4096, "includeThoughts": True}),
        ("publishers/google/models/gemini-3.1-pro-preview", {"thinkingLevel": "HIGH", "includeThoughts": True}),
        ("projects/pro/locations/l/endpoints/12", {"thinkingBudget": 4096, "includeThoughts": True}),
    ],
)
def test_thinking_is_asked_for_in_the_words_of_the_family(model, config):
    request = asked(user("Hi"), reasoning=Reasoning(effort="high", shown=True))
    assert body(request, model)["generationConfig"]["thinkingConfig"] == config


def test_a_picture_in_a_result_lies_within_it_from_gemini_3_on():
    call = ToolCall("c1", "look", "")
    result = ToolResult("c1", (Text('{"seen": 1}'), Image(Data("image/png", PNG))))
    request = asked(user("Look"), assistant(call), Message("tool", (result,)))
    blob = {"inlineData": {"mimeType": "image/png", "data": PNG}}
    told = {"name": "look", "response": {"seen": 1}}
    assert body(request)["contents"][2]["parts"] == [{"functionResponse": told}, blob]
    newest = body(request, "gemini-3-flash-preview")["contents"][2]["parts"]
    assert newest == [{"functionResponse": {"id": "c1", **told, "parts": [blob]}}]
