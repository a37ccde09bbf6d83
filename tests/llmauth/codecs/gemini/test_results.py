"""Results and arguments of tools, which are objects for Gemini."""

import pytest

from llmauth.chat.messages import Data, Document, Image, Link, Text, ToolCall, ToolResult
from llmauth.codecs.gemini.results import answered, arguments
from llmauth.errors import BadRequest

CALLS = {"c1": (0, ToolCall("c1", "f", "{}"))}


def response(*content, error=False):
    (part,) = answered([ToolResult("c1", content, error)], CALLS, newest=True)
    return part["functionResponse"]["response"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{"degrees": 18}', {"degrees": 18}),
        ("18 degrees", {"output": "18 degrees"}),
        ("[1, 2]", {"output": "[1, 2]"}),
        ("18", {"output": "18"}),
        ('{"a": NaN}', {"output": '{"a": NaN}'}),
        ('{"a": 1, "a": 2}', {"output": '{"a": 1, "a": 2}'}),
        ("", {"output": ""}),
    ],
)
def test_an_object_stays_one_and_all_else_becomes_one(text, wanted):
    assert response(Text(text)) == wanted


def test_an_error_is_told_as_one():
    assert response(Text('{"degrees": 18}'), error=True) == {"error": '{"degrees": 18}'}


def test_texts_are_lines():
    assert response(Text("a"), Text("b")) == {"output": "a\nb"}


def test_pictures_and_documents_lie_within_the_result_or_after_all_results():
    image, document = Image(Data("image/png", "aGk=")), Document(Link("gs://b/r.pdf"))
    blob = {"inlineData": {"mimeType": "image/png", "data": "aGk="}}
    file = {"fileData": {"mimeType": "application/pdf", "fileUri": "gs://b/r.pdf"}}
    results = [ToolResult("c1", (image, document))]
    nested = answered(results, CALLS, newest=True)
    assert nested == [
        {"functionResponse": {"id": "c1", "name": "f", "response": {"output": ""}, "parts": [blob, file]}}
    ]
    flat = answered(results, CALLS, newest=False)
    assert flat[1:] == [blob, file]
    assert "parts" not in flat[0]["functionResponse"]


@pytest.mark.parametrize(("text", "wanted"), [("", {}), (" \n", {}), ("{}", {}), ('{"a":[1]}', {"a": [1]})])
def test_arguments(text, wanted):
    assert arguments(ToolCall("c1", "f", text)) == wanted


@pytest.mark.parametrize("text", ["{", "[]", "null", '"x"', '{"a":1,"a":2}', "{}x", '{"a":' * 200])
def test_arguments_that_are_none_are_refused_by_name(text):
    with pytest.raises(BadRequest, match="tool call 'c1'") as caught:
        arguments(ToolCall("c1", "f", text))
    assert caught.value.code == "invalid_request"


def test_a_result_without_an_id():
    calls = {"": (0, ToolCall("", "f", ""))}
    assert answered([ToolResult("", ())], calls, newest=True) == [
        {"functionResponse": {"name": "f", "response": {"output": ""}}}
    ]
