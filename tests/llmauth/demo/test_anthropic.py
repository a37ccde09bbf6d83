"""The official anthropic client against the emulator, and what is refused."""

from __future__ import annotations

from textwrap import dedent
from typing import Any

import pytest

from llmauth.demo.anthropic import HOST
from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from tests.llmauth.demo.clients import EXTRAS, ClientProblem, Clients
from tests.llmauth.demo.wire import Reply, call

CLIENT = """
import anthropic
client = anthropic.Anthropic(api_key=key, max_retries=0, _strict_response_validation=True)
"""
HELLO: dict[str, Any] = {
    "model": "claude-opus-4-8",
    "max_tokens": 1024,
    "messages": [{"role": "user", "content": "hello"}],
}


def sdk(clients: Clients, emulators: Emulators, code: str, **names: Any) -> Any:
    names.setdefault("key", emulators.credentials.anthropic_key)
    return clients.run(emulators, CLIENT + dedent(code), **names)


def ask(emulators: Emulators, target: str, body: Any = b"", method: str | None = None, **fields: str | None) -> Reply:
    headers: dict[str, str | None] = {
        "x-api-key": emulators.credentials.anthropic_key,
        "anthropic-version": "2023-06-01",
        "content-type": "application/json",
        **{name.replace("_", "-"): value for name, value in fields.items()},
    }
    sent = {name: value for name, value in headers.items() if value is not None}
    return call(emulators, HOST, method or ("POST" if body else "GET"), target, sent, body)


def test_a_whole_answer_passes_strict_validation(clients: Clients, emulators: Emulators) -> None:
    answer = sdk(clients, emulators, "result = client.messages.create(**hello).to_dict()", hello=HELLO)
    assert answer["content"][0]["text"].startswith("Hello from the emulated Claude")
    assert answer["stop_reason"] == "end_turn"
    assert answer["usage"]["output_tokens"] == 24


def test_the_stream_helper_rebuilds_the_same_answer(clients: Clients, emulators: Emulators) -> None:
    whole = sdk(clients, emulators, "result = client.messages.create(**hello).to_dict()", hello=HELLO)
    code = """
    with client.messages.stream(**hello) as stream:
        result = {"text": "".join(stream.text_stream), "final": stream.get_final_message().to_dict()}
    """
    streamed = sdk(clients, emulators, code, hello=HELLO)
    assert streamed["text"] == streamed["final"]["content"][0]["text"] == whole["content"][0]["text"]
    assert streamed["final"]["usage"]["output_tokens"] == 24


def test_the_beta_path_is_served(clients: Clients, emulators: Emulators) -> None:
    sdk(clients, emulators, "client.beta.messages.create(betas=['context-1m-2025-08-07'], **hello)", hello=HELLO)
    (seen,) = emulators.requests(HOST)
    assert seen.values("anthropic-beta") == [b"context-1m-2025-08-07"]
    assert ask(emulators, "/v1/messages?beta=true", HELLO).status == 200


def test_counts_tokens(clients: Clients, emulators: Emulators) -> None:
    code = "result = client.messages.count_tokens(model=hello['model'], messages=hello['messages']).input_tokens"
    assert sdk(clients, emulators, code, hello=HELLO) > 0


def test_lists_models(clients: Clients, emulators: Emulators) -> None:
    code = (
        "result = [model.id for model in client.models.list()] + [client.models.retrieve('claude-sonnet-5').lifecycle]"
    )
    assert {"claude-opus-4-8", "active"} <= set(sdk(clients, emulators, code))


def test_a_wrong_key_is_refused_in_anthropics_shape(clients: Clients, emulators: Emulators) -> None:
    with pytest.raises(ClientProblem) as caught:
        sdk(clients, emulators, "client.messages.create(**hello)", hello=HELLO, key="sk-ant-wrong")
    assert (caught.value.kind, caught.value.status) == ("AuthenticationError", 401)


def test_the_key_is_taken_in_either_header_and_in_both_refused(emulators: Emulators) -> None:
    """A leftover beside the injected key: x-api-key wins at the real server, and spoils the other."""
    bearer = f"Bearer {emulators.credentials.anthropic_key}"
    assert ask(emulators, "/v1/models").status == 200
    assert ask(emulators, "/v1/models", x_api_key=None, authorization=bearer).status == 200
    both = ask(emulators, "/v1/models", authorization=bearer)
    assert both.status == 400
    assert "both x-api-key and Authorization" in both.json()["error"]["message"]


@pytest.mark.parametrize(
    "fields", [{"x_api_key": None}, {"x_api_key": ""}, {"x_api_key": None, "authorization": "Basic x"}]
)
def test_without_its_key_nothing_is_answered(emulators: Emulators, fields: dict[str, str | None]) -> None:
    assert ask(emulators, "/v1/models", **fields).status == 401


@pytest.mark.parametrize("leftover", ["api_key", "x_goog_api_key", "x_totp_code", "proxy_authorization"])
def test_a_clients_leftover_is_refused_and_named(emulators: Emulators, leftover: str) -> None:
    answer = ask(emulators, "/v1/models", **{leftover: "anything"})
    assert answer.status == 400
    assert leftover.replace("_", "-") in answer.json()["error"]["message"]


@pytest.mark.parametrize("version", [None, "2019-01-01"])
def test_the_version_header_is_required(emulators: Emulators, version: str | None) -> None:
    answer = ask(emulators, "/v1/messages", HELLO, anthropic_version=version)
    assert answer.status == 400
    assert "anthropic-version" in answer.json()["error"]["message"]


def test_sampling_is_refused_by_the_newest_version_only(emulators: Emulators) -> None:
    body = {**HELLO, "temperature": 1}
    assert ask(emulators, "/v1/messages", body).status == 200
    assert ask(emulators, "/v1/messages", body, anthropic_version="2026-10-21").status == 400


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({name: value for name, value in HELLO.items() if name != "max_tokens"}, "max_tokens: is required"),
        ({**HELLO, "unheard_of": 1}, "unheard_of: extra inputs are not permitted"),
        ({**HELLO, "stream": "yes"}, "stream: expected true or false"),
        (
            {**HELLO, "messages": [{"role": "user", "content": [{"type": "text"}]}]},
            "messages[0].content[0].text: is required",
        ),
    ],
)
def test_a_message_of_the_wrong_shape_names_the_field(emulators: Emulators, body: dict[str, Any], named: str) -> None:
    answer = ask(emulators, "/v1/messages", body)
    assert answer.status == 400
    assert answer.json()["error"] == {"type": "invalid_request_error", "message": named}
    assert answer.json()["request_id"] == answer.header("request-id")


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [("GET", "/v1/nothing", 404), ("GET", "/v1/models/claude-nobody", 404), ("GET", "/v1/messages", 405)],
)
def test_what_is_not_there(emulators: Emulators, method: str, target: str, status: int) -> None:
    assert ask(emulators, target, method=method).status == status


def test_an_unknown_model_is_not_found(emulators: Emulators) -> None:
    assert ask(emulators, "/v1/messages", {**HELLO, "model": "gpt-4o"}).json()["error"]["type"] == "not_found_error"


def test_overload_is_529(clients: Clients, emulators: Emulators) -> None:
    emulators.behave(HOST, Behaviour(status=529))
    with pytest.raises(ClientProblem) as caught:
        sdk(clients, emulators, "client.messages.create(**hello)", hello=HELLO)
    assert (caught.value.kind, caught.value.status) == ("OverloadedError", 529)


def test_a_stream_that_fails_raises_in_the_sdk(clients: Clients, emulators: Emulators) -> None:
    emulators.behave(HOST, Behaviour(fail_after=3))
    with pytest.raises(ClientProblem, match="overloaded_error"):
        sdk(clients, emulators, "list(client.messages.create(stream=True, **hello))", hello=HELLO)


def test_echo_gives_the_bytes_back(emulators: Emulators) -> None:
    answer = ask(emulators, "/v1/echo/files", b"\x00\x01", content_type="application/x-unheard-of")
    assert (answer.body, answer.header("content-type")) == (b"\x00\x01", "application/x-unheard-of")


def test_nothing_is_said_that_the_sdk_does_not_know(clients: Clients, emulators: Emulators) -> None:
    code = """
    answers = [client.messages.create(**hello), client.models.list().data]
    result = extras([*answers, list(client.messages.create(stream=True, **hello))])
    """
    assert sdk(clients, emulators, EXTRAS + dedent(code), hello=HELLO) == []
