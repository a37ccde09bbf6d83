"""Any server that speaks OpenAI's API: what passes to it, and what becomes of a Responses request."""

import json

import pytest
from pydantic import ValidationError

from llmauth.addresses import HostPort
from llmauth.chat.messages import ChatRequest, Message, Text
from llmauth.chat.words import Word
from llmauth.http import Door, Headers, Request, Url
from llmauth.providers.openai_compatible import CompatibleHandler, CompatibleOptions
from llmauth.secrets import ApiKey, Secret

HANDLER = CompatibleHandler("vllm", CompatibleOptions(base_url="https://vllm.corp.example/v1"))


def test_it_has_no_host_but_the_one_that_is_configured():
    assert HANDLER.hosts == {HostPort("vllm.corp.example", 443)}
    assert not HANDLER.owns(HostPort("api.openai.com", 443))
    with pytest.raises(ValidationError, match="base_url"):
        CompatibleOptions.model_validate({})


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/chat/completions"])
def test_a_path_has_its_version_once(path):
    assert HANDLER.forward(path, "POST") == Url("https", "vllm.corp.example", 443, "/v1/chat/completions")


def test_its_key_is_a_bearer_token():
    url = HANDLER.forward("/v1/chat/completions", "POST")
    sent = HANDLER.authorize(
        Request(method="POST", url=url, headers=Headers([]), door=Door.GATEWAY), ApiKey(value=Secret("sk-house"))
    )
    assert sent.headers.get("authorization") == "Bearer sk-house"


@pytest.mark.parametrize("operation", ["chat", "embeddings"])
def test_what_openai_s_clients_ask_passes_under_its_model_s_name(operation):
    native = HANDLER.natively(operation, "llama-4", stream=False)
    assert native.rewrite(b'{"model": "fast", "x": 1.50}', Headers([])) == b'{"model": "llama-4", "x": 1.50}'
    assert native.reads is None


@pytest.mark.parametrize("operation", ["messages", "count_tokens"])
def test_it_does_not_speak_anthropic_s_protocol(operation):
    assert HANDLER.natively(operation, "llama-4", stream=True) is None
    assert HANDLER.at_home("anthropic", "messages") is None


def test_responses_pass_only_where_the_server_has_them():
    having = CompatibleHandler("new", CompatibleOptions(base_url="https://new.example", responses=True))
    assert HANDLER.natively("responses", "llama-4", stream=False) is None
    assert having.natively("responses", "llama-4", stream=False).path == "/v1/responses"


def test_what_only_openai_has_is_left_out_and_told():
    request = ChatRequest(
        model="llama-4",
        messages=(Message("user", (Text("hi"),)),),
        parameters={Word.TOP_K: 5, Word.MAX_TOKENS: 9, Word.METADATA: {"a": "b"}},
    )
    asked = HANDLER.codec("llama-4").render_request(request)
    body = json.loads(asked.body)
    assert (body["model"], body["top_k"], body["max_tokens"]) == ("llama-4", 5, 9)
    assert "metadata" not in body
    assert asked.dropped == ("metadata",)
    assert HANDLER.locate("llama-4", stream=True) == "/v1/chat/completions"
