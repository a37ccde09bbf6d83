"""Anthropic's handler: one host, a key of its own header, or a bearer token."""

import pytest

from llmauth.addresses import HostPort
from llmauth.errors import InternalError
from llmauth.http import Door, Headers, Request, Url
from llmauth.providers.anthropic import AnthropicHandler, AnthropicOptions
from llmauth.providers.named import Call
from llmauth.secrets import ApiKey, AwsKeys, BearerToken, Secret

HANDLER = AnthropicHandler("anthropic", AnthropicOptions())
REQUEST = Request(
    method="POST",
    url=Url("https", "api.anthropic.com", 443, "/v1/messages?beta=true"),
    headers=Headers([(b"Host", b"api.anthropic.com"), (b"anthropic-version", b"2026-10-21")]),
    door=Door.TUNNEL,
    body=b'{"model":"claude-opus-5"}',
)


@pytest.mark.parametrize(
    ("credential", "field"),
    [
        (ApiKey(value=Secret("sk-ant")), (b"x-api-key", b"sk-ant")),
        (BearerToken(value=Secret("token")), (b"Authorization", b"Bearer token")),
    ],
)
def test_each_kind_goes_into_its_own_header(credential, field):
    signed = HANDLER.authorize(REQUEST, credential)
    assert signed.headers.fields == (*REQUEST.headers.fields, field)


def test_aws_keys_are_of_no_use_here():
    with pytest.raises(InternalError, match="cannot use"):
        HANDLER.authorize(REQUEST, AwsKeys(access_key_id="AKIA", secret_access_key=Secret("hidden")))


def test_where_it_lives():
    assert HANDLER.hosts == {HostPort("api.anthropic.com", 443)}
    assert HANDLER.forward("/v1/messages?beta=true", "POST") == REQUEST.url
    assert HANDLER.named(Call(method="POST", path="/v1/messages", body=REQUEST.body)).model == "claude-opus-5"
