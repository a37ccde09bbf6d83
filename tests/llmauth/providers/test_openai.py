"""OpenAI's handler: one host, a bearer key."""

import pytest

from llmauth.addresses import HostPort
from llmauth.errors import InternalError
from llmauth.http import Door, Headers, Request, Url
from llmauth.providers.anthropic import AnthropicHandler, AnthropicOptions
from llmauth.providers.openai import OpenAIHandler, OpenAIOptions
from llmauth.secrets import ApiKey, AwsKeys, BearerToken, Secret

HANDLER = OpenAIHandler("openai", OpenAIOptions())
REQUEST = Request(
    method="POST",
    url=Url("https", "api.openai.com", 443, "/v1/chat/completions"),
    headers=Headers([(b"Host", b"api.openai.com"), (b"Authorization", b"Bearer placeholder")]),
    door=Door.TUNNEL,
    body=b'{"model":"gpt-5"}',
)


@pytest.mark.parametrize("kind", [ApiKey, BearerToken])
def test_a_key_goes_as_the_only_bearer(kind):
    signed = HANDLER.authorize(REQUEST, kind(value=Secret("sk-real")))
    assert signed.headers.fields == ((b"Host", b"api.openai.com"), (b"Authorization", b"Bearer sk-real"))
    assert (signed.url, signed.body) == (REQUEST.url, REQUEST.body)


def test_aws_keys_are_of_no_use_here():
    with pytest.raises(InternalError, match="cannot use") as caught:
        HANDLER.authorize(REQUEST, AwsKeys(access_key_id="AKIA", secret_access_key=Secret("hidden")))
    assert "hidden" not in f"{caught.value.sentence} {caught.value.detail}"


def test_where_it_lives():
    assert HANDLER.hosts == {HostPort("api.openai.com", 443)}
    assert HANDLER.forward("/v1/models", "GET") == Url("https", "api.openai.com", 443, "/v1/models")
    assert (HANDLER.region, HANDLER.model_of(REQUEST)) == (None, "gpt-5")


def test_websockets_may_be_opened_unless_they_are_switched_off():
    assert HANDLER.websocket
    assert not OpenAIHandler("openai", OpenAIOptions(websocket=False)).websocket
    assert not AnthropicHandler("anthropic", AnthropicOptions()).websocket
