"""OpenAI's handler: one host, a bearer key."""

import pytest

from llmauth.addresses import HostPort
from llmauth.errors import InternalError
from llmauth.http import Door, Headers, Request, Url
from llmauth.providers.anthropic import AnthropicHandler, AnthropicOptions
from llmauth.providers.named import Call
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
    told = HANDLER.named(Call(method="POST", path="/v1/responses", body=REQUEST.body))
    assert (HANDLER.region, told.model) == (None, "gpt-5")


@pytest.mark.parametrize(
    ("path", "model", "ambiguous"),
    [
        ("/v1/realtime?model=m", "m", False),
        ("/v1/realtime?model=m&intent=x", "m", False),
        ("/v1/realtime", None, True),
        ("/v1/realtime?model=m&Model=n", None, True),
        ("/v1/realtime?model=m;model=n", None, True),
        ("/v1/responses?model=m", None, False),
        ("/v1/realtime/x?model=m", None, False),
    ],
)
def test_h1_a_socket_names_its_model_at_realtime_and_nowhere_else(path, model, ambiguous):
    told = HANDLER.named(Call(method="GET", path=path, websocket=True))
    assert (told.model, told.certain, told.ambiguous) == (model, model is not None, ambiguous)


def test_a_path_in_which_a_model_could_stand_is_not_certain():
    body = b'{"model":"m"}'
    assert HANDLER.named(Call(method="POST", path="/v1/embeddings", body=body)).certain
    for path in ("/models/evil/v1/chat/completions", "/v1/engines/evil/completions", "/client/v4/ai/run/evil"):
        assert not HANDLER.named(Call(method="POST", path=path, body=body)).certain


def test_websockets_may_be_opened_unless_they_are_switched_off():
    assert HANDLER.websocket
    assert not OpenAIHandler("openai", OpenAIOptions(websocket=False)).websocket
    assert not AnthropicHandler("anthropic", AnthropicOptions()).websocket
