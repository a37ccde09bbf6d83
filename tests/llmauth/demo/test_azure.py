"""The official Azure client against the emulated resource, and what is refused."""

from __future__ import annotations

from textwrap import dedent
from typing import Any

import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from tests.llmauth.demo.clients import ClientProblem, Clients
from tests.llmauth.demo.wire import Reply, call

HOST = "demo-us.openai.azure.com"
FOUNDRY = "demo-us.services.ai.azure.com"
CLASSIC = """
import openai
client = openai.AzureOpenAI(
    azure_endpoint="https://demo-us.openai.azure.com", api_version="2024-10-21", max_retries=0, **proof
)
"""
V1 = """
import openai
client = openai.OpenAI(base_url="https://demo-us.services.ai.azure.com/openai/v1", api_key=key, max_retries=0)
"""
HELLO: dict[str, Any] = {"messages": [{"role": "user", "content": "hello"}]}
CHAT = "/openai/deployments/chat-4o/chat/completions?api-version=2024-10-21"


def classic(clients: Clients, emulators: Emulators, code: str, **names: Any) -> Any:
    names.setdefault("proof", {"api_key": emulators.credentials.azure_key})
    return clients.run(emulators, CLASSIC + dedent(code), hello=HELLO, **names)


def ask(
    emulators: Emulators, target: str = CHAT, body: Any = b"", *, host: str = HOST, method: str = "", **fields: Any
) -> Reply:
    headers = {
        "api-key": emulators.credentials.azure_key,
        "content-type": "application/json",
        **{name.replace("_", "-"): value for name, value in fields.items()},
    }
    sent = {name: value for name, value in headers.items() if value is not None}
    return call(emulators, host, method or ("POST" if body else "GET"), target, sent, body)


def error(reply: Reply) -> tuple[int, str]:
    return reply.status, reply.json()["error"]["code"]


def test_the_deployment_in_the_path_is_the_model(clients: Clients, emulators: Emulators) -> None:
    code = "result = client.chat.completions.create(model='chat-4o', **hello).to_dict()"
    answer = classic(clients, emulators, code)
    assert answer["model"] == "gpt-4o"
    assert answer["choices"][0]["content_filter_results"]["hate"] == {"filtered": False, "severity": "safe"}
    assert answer["prompt_filter_results"][0]["prompt_index"] == 0
    assert emulators.requests(HOST)[0].target == CHAT.encode()


def test_a_stream_begins_without_a_choice(clients: Clients, emulators: Emulators) -> None:
    code = """
    chunks = list(client.chat.completions.create(model="chat-4o", stream=True, **hello))
    result = [len(chunk.choices) for chunk in chunks][:2] + [chunks[0].model_extra["prompt_filter_results"]]
    """
    first, second, filters = classic(clients, emulators, code)
    assert (first, second) == (0, 1)
    assert filters[0]["content_filter_results"]["violence"]["filtered"] is False


def test_a_token_of_entra_is_taken_as_bearer(clients: Clients, emulators: Emulators) -> None:
    token = emulators.credentials.azure_token
    code = """
    client = openai.AzureOpenAI(
        azure_endpoint="https://demo-us.cognitiveservices.azure.com", api_version="2024-10-21", max_retries=0,
        azure_ad_token_provider=lambda: token,
    )
    result = len(client.embeddings.create(model="embed", input="a").data[0].embedding)
    """
    assert classic(clients, emulators, code, token=token) == 1536


def test_the_v1_surface_takes_a_plain_client(clients: Clients, emulators: Emulators) -> None:
    code = """
    stream = client.responses.create(model="chat-4o", input="hello", stream=True)
    result = {
        "chat": client.chat.completions.create(model="chat-4o", **hello).choices[0].message.content,
        "responses": "".join(event.delta for event in stream if event.type == "response.output_text.delta"),
        "models": [model.id for model in client.models.list()],
        "file": client.files.create(file=("a.jsonl", b"{}"), purpose="batch").bytes,
    }
    """
    key = emulators.credentials.azure_key
    said = clients.run(emulators, V1 + dedent(code), hello=HELLO, key=key)
    assert said["chat"] == said["responses"]
    assert (said["file"], "gpt-4o" in said["models"]) == (2, True)


@pytest.mark.parametrize(
    "fields",
    [
        {"api_key": None},
        {"api_key": "wrong"},
        {"api_key": None, "authorization": "Bearer wrong"},
        {"api_key": None, "authorization": "Basic x"},
    ],
)
def test_without_its_credential_nothing_is_answered(emulators: Emulators, fields: dict[str, Any]) -> None:
    answer = ask(emulators, body=HELLO, **fields)
    assert error(answer) == (401, "401")
    assert "type" not in answer.json()["error"]


def test_the_older_surface_takes_no_key_as_a_bearer(emulators: Emulators) -> None:
    bearer = f"Bearer {emulators.credentials.azure_key}"
    assert ask(emulators, body=HELLO, api_key=None, authorization=bearer).status == 401
    assert ask(emulators, "/openai/v1/models", api_key=None, authorization=bearer).status == 200


def test_two_credentials_are_one_too_many(emulators: Emulators) -> None:
    answer = ask(emulators, body=HELLO, authorization=f"Bearer {emulators.credentials.azure_token}")
    assert error(answer) == (400, "leftover_credential")


@pytest.mark.parametrize(
    ("target", "fields"),
    [
        (CHAT, {"x_api_key": "x"}),
        (CHAT, {"ocp_apim_subscription_key": "x"}),
        (CHAT, {"x_note": "llmauth_ABCDEFGHIJ_" + "x" * 43}),
        (f"{CHAT}&api-key=x", {}),
        (f"{CHAT}&subscription-key=x", {}),
    ],
)
def test_a_clients_leftover_is_refused(emulators: Emulators, target: str, fields: dict[str, str]) -> None:
    assert error(ask(emulators, target, HELLO, **fields)) == (400, "leftover_credential")


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        (CHAT.partition("?")[0], 404, "404"),
        (CHAT.replace("2024-10-21", "2019-01-01"), 404, "404"),
        (f"{CHAT}&api-version=2024-10-21", 404, "404"),
        (CHAT.replace("chat-4o", "nobody"), 404, "DeploymentNotFound"),
        (CHAT.replace("chat-4o", "embed"), 400, "OperationNotSupported"),
        (CHAT.replace("chat/completions", "audio/speech"), 400, "OperationNotSupported"),
        (CHAT.replace("chat/completions", "unheard/of"), 404, "404"),
        ("/openai/chat/completions?api-version=2024-10-21", 404, "404"),
        ("/v1/chat/completions", 404, "404"),
        ("/openai/v1/unheard-of", 404, "404"),
        ("/openai/v1/chat/completions?api-version=2024-10-21", 400, "BadRequest"),
    ],
)
def test_what_is_not_there(emulators: Emulators, target: str, status: int, code: str) -> None:
    assert error(ask(emulators, target, {**HELLO, "model": "chat-4o"})) == (status, code)


def test_an_unknown_deployment_in_the_body(emulators: Emulators) -> None:
    answer = ask(emulators, "/openai/v1/chat/completions", {**HELLO, "model": "gpt-4o"}, host=FOUNDRY)
    assert error(answer) == (404, "DeploymentNotFound")


def test_a_body_of_the_wrong_shape_names_the_field(emulators: Emulators) -> None:
    answer = ask(emulators, body={**HELLO, "unheard_of": 1})
    assert answer.json()["error"]["param"] == "unheard_of"


def test_a_filtered_prompt(clients: Clients, emulators: Emulators) -> None:
    emulators.behave(HOST, Behaviour(status=400, error="content_filter"))
    inner = ask(emulators, body=HELLO).json()["error"]
    assert inner["code"] == "content_filter"
    assert inner["innererror"]["content_filter_result"]["hate"]["filtered"] is True
    emulators.behave(HOST, Behaviour(status=400, error="content_filter"))
    with pytest.raises(ClientProblem, match="content management policy") as caught:
        classic(clients, emulators, "client.chat.completions.create(model='chat-4o', **hello)")
    assert caught.value.kind == "BadRequestError"


def test_a_limit_tells_when_to_come_back(emulators: Emulators) -> None:
    emulators.behave(HOST, Behaviour(status=429))
    answer = ask(emulators, body=HELLO)
    assert (answer.status, answer.header("retry-after-ms")) == (429, "1000")


@pytest.mark.parametrize("path", ["/echo/x", "/openai/v1/echo/x", "/openai/echo/x?api-version=y"])
def test_echo_gives_the_bytes_back(emulators: Emulators, path: str) -> None:
    answer = ask(emulators, path, b"\x00\x01", content_type="application/x-unheard-of")
    assert (answer.body, answer.header("content-type")) == (b"\x00\x01", "application/x-unheard-of")
