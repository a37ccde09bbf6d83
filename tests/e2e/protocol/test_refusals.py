"""What a provider refuses, as the client's own protocol tells it: the right class, and when to come back."""

from __future__ import annotations

import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from tests.e2e.clients.sdks import Sdks
from tests.e2e.protocol.calls import ask, chat, message
from tests.e2e.protocol.providers import PROVIDERS, Provider
from tests.e2e.protocol.test_agent_loops import by_path
from tests.fixtures.serving import Serving
from tests.llmauth.demo.clients import ClientProblem

TRANSLATED = {name: one for name, one in PROVIDERS.items() if one.instance not in ("openai", "azure_us")}
CLASSES = {429: "RateLimitError", 400: "BadRequestError", 404: "NotFoundError", 403: "PermissionDeniedError"}


@pytest.mark.parametrize("status", [400, 403, 404, 429, 500, 503])
@pytest.mark.parametrize("provider", TRANSLATED.values(), ids=TRANSLATED)
def test_the_openai_client_raises_the_class_of_the_status(
    every: Serving, emulators: Emulators, sdks: Sdks, provider: Provider, status: int
) -> None:
    if status == 403 and provider.instance == "oracle":
        pytest.skip("Oracle says 404 for what is not allowed")
    emulators.behave(provider.host, Behaviour(status=status))
    environ, model = by_path("chat", provider, every)
    code = (
        'openai.OpenAI(max_retries=0).chat.completions.create(model=model, messages=[{"role": "user", "content": "x"}])'
    )
    with pytest.raises(ClientProblem) as raised:
        sdks.run(code, environ, model=model)
    assert raised.value.kind == CLASSES.get(status, "InternalServerError"), raised.value
    assert raised.value.status == status


@pytest.mark.parametrize("provider", ["nova on bedrock", "gemini on vertex", "llama on oracle", "watsonx", "openai"])
@pytest.mark.parametrize(
    ("status", "type_"), [(429, "rate_limit_error"), (400, "invalid_request_error"), (503, "overloaded_error")]
)
def test_the_anthropic_client_reads_its_own_types(
    every: Serving, emulators: Emulators, provider: str, status: int, type_: str
) -> None:
    one = PROVIDERS[provider]
    emulators.behave(one.host, Behaviour(status=status))
    told = ask(every, f"/anthropic/{one.instance}/v1/messages", message(one.model))
    assert told.json["type"] == "error"
    assert told.json["error"]["type"] == type_, told.body
    assert told.status == (529 if status == 503 else status)


def test_when_to_come_back_is_told(every: Serving, emulators: Emulators) -> None:
    """Anthropic says so in a header, and a client of OpenAI's protocol reads the same one."""
    emulators.behave("api.anthropic.com", Behaviour(status=429, fields=((b"retry-after", b"7"),)))
    told = ask(every, "/openai/anthropic/chat/completions", chat("claude-sonnet-4-5"))
    assert (told.status, told.headers["retry-after"]) == (429, "7")
    assert "x-should-retry" not in told.headers


@pytest.mark.parametrize("provider", ["claude on bedrock", "anthropic", "llama on oracle"])
def test_a_refused_credential_of_ours_is_no_fault_of_the_caller(
    every: Serving, emulators: Emulators, provider: str
) -> None:
    one = PROVIDERS[provider]
    emulators.behave(one.host, Behaviour(status=401))
    told = ask(every, f"/openai/{one.instance}/chat/completions", chat(one.model))
    assert (told.status, told.json["error"]["code"]) == (502, "credential_rejected")


@pytest.mark.parametrize("body", [b"", b"not json", b"[]", b"null", b'{"output":null}', b'{"output":7}', b"\xff\xfe"])
@pytest.mark.parametrize("provider", ["nova on bedrock", "anthropic", "gemini on vertex", "llama on oracle", "watsonx"])
def test_an_answer_that_is_none_is_a_bad_gateway(
    every: Serving, emulators: Emulators, provider: str, body: bytes
) -> None:
    one = PROVIDERS[provider]
    emulators.behave(one.host, Behaviour(body=body))
    told = ask(every, f"/openai/{one.instance}/chat/completions", chat(one.model))
    assert (told.status, told.json["error"]["code"]) == (502, "provider_answer_broken"), told.body
    assert told.headers["x-llmauth-fault"] == "provider"


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}],
                    }
                ]
            },
            None,
        ),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].type"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"temperature": "hot"}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": "hello"}, "messages"),
    ],
)
def test_what_cannot_be_said_is_refused_by_name(
    every: Serving, emulators: Emulators, more: dict[str, object], param: str | None
) -> None:
    told = ask(every, "/openai/anthropic/chat/completions", chat("claude-sonnet-4-5", **more))
    assert told.status == 400, told.body
    assert told.json["error"]["type"] == "invalid_request_error"
    assert param is None or told.json["error"]["param"] == param, told.body
    assert emulators.requests() == ()


def test_what_is_left_out_is_told(every: Serving, emulators: Emulators) -> None:
    told = ask(every, "/openai/bedrock_us1/chat/completions", chat("nova", seed=7, logit_bias={"5": 1}, novelty=True))
    assert told.status == 200, told.body
    assert sorted(told.headers["x-llmauth-dropped"].split(", ")) == ["logit_bias", "novelty", "seed"]
    streamed = ask(every, "/openai/bedrock_us1/chat/completions", chat("nova", seed=7, stream=True))
    assert streamed.headers["x-llmauth-dropped"] == "seed"
    assert "x-llmauth-dropped" not in ask(every, "/openai/bedrock_us1/chat/completions", chat("nova")).headers
