"""The envelope of InvokeModel, in each form that its users write."""

import json

import pytest

from llmauth.errors import BadRequest
from llmauth.providers.envelope import unpack


def envelope(**members):
    return json.dumps({"modelId": "amazon.titan-text-express-v1", **members}).encode()


def test_a_body_as_text_passes_byte_for_byte():
    text = '{"inputText":  "Hi",\n "é": "\\u00e9"}'
    call = unpack(envelope(contentType="application/json", accept="*/*", body=text))
    assert call.body == text.encode()
    assert (call.model, call.content_type, call.accept) == ("amazon.titan-text-express-v1", "application/json", "*/*")


def test_a_body_as_an_object_is_written_as_json():
    assert json.loads(unpack(envelope(body={"inputText": "Grüße"})).body) == {"inputText": "Grüße"}


def test_another_type_comes_as_base64():
    call = unpack(envelope(contentType="image/png", body="iVBORw=="))
    assert (call.content_type, call.body) == ("image/png", b"\x89PNG")


def test_without_types_it_is_json():
    call = unpack(envelope(body="{}"))
    assert (call.content_type, call.accept) == ("application/json", "application/json")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"not json", ""),
        (b"[]", ""),
        (b'{"body": "{}"}', "modelId"),
        (b'{"modelId": 7, "body": "{}"}', "modelId"),
        (b'{"modelId": "", "body": "{}"}', "modelId"),
        (b'{"modelId": "a", "modelId": "b", "body": "{}"}', ""),
        (b'{"modelId": "a"}', "body"),
        (b'{"modelId": "a", "body": 7}', "body"),
        (b'{"modelId": "a", "contentType": "image/png", "body": "%%%"}', "body"),
        (b'{"modelId": "a", "contentType": "a\\nb", "body": ""}', "contentType"),
    ],
)
def test_what_is_no_envelope_is_told_with_an_example(body, param):
    with pytest.raises(BadRequest) as refused:
        unpack(body)
    assert refused.value.param == param
    assert '"modelId"' in refused.value.hint


def test_the_example_is_one():
    with pytest.raises(BadRequest) as refused:
        unpack(b"{}")
    example = refused.value.hint.removeprefix("Send for example ").removesuffix(".")
    assert unpack(example.encode()).model.startswith("anthropic.")
