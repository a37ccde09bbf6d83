"""The official openai client against the emulator, under its strict response validation, and what is refused."""

from __future__ import annotations

from textwrap import dedent
from typing import Any

import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from llmauth.demo.openai import HOST
from tests.llmauth.demo.clients import EXTRAS, ClientProblem, Clients
from tests.llmauth.demo.wire import Reply, call

CLIENT = """
import openai
client = openai.OpenAI(api_key=key, max_retries=0, _strict_response_validation=True)
"""
HELLO: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}


def sdk(clients: Clients, emulators: Emulators, code: str, **names: Any) -> Any:
    names.setdefault("key", emulators.credentials.openai_key)
    return clients.run(emulators, CLIENT + dedent(code), **names)


def ask(emulators: Emulators, target: str, body: Any = b"", method: str | None = None, **fields: str) -> Reply:
    headers = {"Authorization": f"Bearer {emulators.credentials.openai_key}", "Content-Type": "application/json"}
    headers |= {name.replace("_", "-"): value for name, value in fields.items()}
    return call(emulators, HOST, method or ("POST" if body else "GET"), target, headers, body)


def test_lists_models(clients: Clients, emulators: Emulators) -> None:
    code = "result = [model.id for model in client.models.list()] + [client.models.retrieve('gpt-4o').owned_by]"
    assert {"gpt-4o", "text-embedding-3-small", "system"} <= set(sdk(clients, emulators, code))


def test_embeds_as_floats_and_packed(clients: Clients, emulators: Emulators) -> None:
    code = """
    asked = {"model": "text-embedding-3-small", "input": ["a", "b"], "dimensions": 8}
    floats = client.embeddings.create(encoding_format="float", **asked)
    packed = openai.OpenAI(api_key=key).embeddings.create(**asked)  # asks for base64 and unpacks it, after validation
    result = [answer.embedding for answer in [*floats.data, *packed.data]]
    """
    vectors = sdk(clients, emulators, code)
    assert [len(vector) for vector in vectors] == [8, 8, 8, 8]
    assert vectors[:2] == vectors[2:]
    assert vectors[0] != vectors[1]


def test_takes_a_file(clients: Clients, emulators: Emulators) -> None:
    code = """
    stored = client.files.create(file=("räksmörgås.jsonl", b"x" * 70_000), purpose="batch")
    result = [stored.bytes, stored.filename, stored.purpose]
    """
    assert sdk(clients, emulators, code) == [70_000, "räksmörgås.jsonl", "batch"]


def test_records_what_the_client_sent(clients: Clients, emulators: Emulators) -> None:
    sdk(clients, emulators, "client.chat.completions.create(**hello)", hello=HELLO)
    (seen,) = emulators.requests(HOST)
    assert (seen.sni, seen.host, seen.method, seen.target) == (HOST, HOST, b"POST", b"/v1/chat/completions")
    assert seen.values("authorization") == [f"Bearer {emulators.credentials.openai_key}".encode()]
    assert seen.status == 200


def test_a_wrong_key_is_refused_in_openais_shape(clients: Clients, emulators: Emulators) -> None:
    with pytest.raises(ClientProblem) as caught:
        sdk(clients, emulators, "client.chat.completions.create(**hello)", hello=HELLO, key="sk-wrong")
    assert (caught.value.kind, caught.value.status) == ("AuthenticationError", 401)
    assert ask(emulators, "/v1/models", Authorization="Bearer sk-wrong").json()["error"]["code"] == "invalid_api_key"


@pytest.mark.parametrize("authorization", ["", "Basic {}", "{}", "Bearer {}x", "Bearer {}, Bearer {}", "Bearer  {}"])
def test_only_the_exact_bearer_key_opens(emulators: Emulators, authorization: str) -> None:
    presented = authorization.replace("{}", emulators.credentials.openai_key)
    assert ask(emulators, "/v1/models", Authorization=presented).status == 401


def test_a_wrong_key_is_named_by_its_ends_only(emulators: Emulators) -> None:
    key = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789"
    answer = ask(emulators, "/v1/models", Authorization=f"Bearer {key}")
    assert answer.json()["error"]["message"].endswith("sk-proj-***6789.")


@pytest.mark.parametrize("leftover", ["x-api-key", "Proxy-Authorization", "x-amz-date", "X_Api_Key", "x-llmauth-user"])
def test_a_clients_leftover_is_refused_and_named(emulators: Emulators, leftover: str) -> None:
    headers = {"Authorization": f"Bearer {emulators.credentials.openai_key}", leftover: "anything"}
    answer = call(emulators, HOST, "GET", "/v1/models", headers)
    assert answer.status == 400
    assert answer.json()["error"]["code"] == "leftover_credential"
    assert leftover.lower().replace("_", "-") in answer.json()["error"]["message"]


@pytest.mark.parametrize("query", ["key=abc", "a=b&access_token=x", "X-Amz-Signature=0"])
def test_a_leftover_in_the_query_is_refused(emulators: Emulators, query: str) -> None:
    assert ask(emulators, f"/v1/models?{query}").json()["error"]["code"] == "leftover_credential"


@pytest.mark.parametrize(
    ("method", "target", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "unknown_url"),
        ("GET", "/v1/models/gpt-unheard-of", 404, "model_not_found"),
        ("DELETE", "/v1/models", 405, "method_not_supported"),
    ],
)
def test_what_is_not_there(emulators: Emulators, method: str, target: str, status: int, code: str) -> None:
    answer = ask(emulators, target, method=method)
    assert (answer.status, answer.json()["error"]["code"]) == (status, code)
    assert answer.header("x-request-id")


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"messages": HELLO["messages"]}, "missing_required_parameter", "model"),
        ({"model": "gpt-4o"}, "missing_required_parameter", "messages"),
        ({**HELLO, "messages": []}, "invalid_value", "messages"),
        ({**HELLO, "unheard_of": 1}, "unknown_parameter", "unheard_of"),
        ({**HELLO, "messages": [{"role": "bystander", "content": "x"}]}, "invalid_value", "messages[0].role"),
        ({**HELLO, "temperature": 2.5}, "invalid_value", "temperature"),
        ({**HELLO, "model": "claude-opus-4-8"}, "model_not_found", None),
    ],
)
def test_a_chat_of_the_wrong_shape_names_the_field(
    emulators: Emulators, body: dict[str, Any], code: str, param: str | None
) -> None:
    answer = ask(emulators, "/v1/chat/completions", body)
    assert answer.json()["error"]["code"] == code
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize("body", ["[]", "{", '"text"', b"\xff\xfe"])
def test_a_body_that_is_no_object_is_refused(emulators: Emulators, body: str | bytes) -> None:
    assert ask(emulators, "/v1/chat/completions", body).status == 400


def test_a_body_of_another_content_type_is_refused(emulators: Emulators) -> None:
    answer = ask(emulators, "/v1/chat/completions", HELLO, Content_Type="text/plain")
    assert answer.status == 400
    assert "text/plain" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"no boundary at all",
        b"--b\r\n\r\n--b--",
        b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n--b--',
    ],
)
def test_a_broken_upload_is_refused(emulators: Emulators, body: bytes) -> None:
    assert ask(emulators, "/v1/files", body, Content_Type="multipart/form-data; boundary=b").status == 400


def test_a_websocket_where_there_is_none_is_answered_426(emulators: Emulators) -> None:
    answer = ask(emulators, "/v1/chat/completions", Connection="Upgrade", Upgrade="websocket")
    assert answer.status == 426


@pytest.mark.parametrize(
    ("status", "kind"), [(429, "RateLimitError"), (500, "InternalServerError"), (503, "InternalServerError")]
)
def test_fails_as_openai_fails_when_told_to(clients: Clients, emulators: Emulators, status: int, kind: str) -> None:
    emulators.behave(HOST, Behaviour(status=status))
    with pytest.raises(ClientProblem) as caught:
        sdk(clients, emulators, "client.chat.completions.create(**hello)", hello=HELLO)
    assert (caught.value.kind, caught.value.status) == (kind, status)


@pytest.mark.parametrize("body", [b"\x00\xff" * 500, b"", b"x" * 3_000_000])
def test_echo_gives_the_bytes_back(emulators: Emulators, body: bytes) -> None:
    answer = ask(emulators, "/v1/echo/a%2Fb?c=d", body, method="PUT", Content_Type="application/x-unheard-of")
    assert answer.body == body
    assert answer.header("content-type") == "application/x-unheard-of"


def test_echo_asks_for_the_key_too(emulators: Emulators) -> None:
    assert ask(emulators, "/v1/echo/x", b"body", Authorization="Bearer wrong").status == 401


def test_nothing_is_said_that_the_sdk_does_not_know(clients: Clients, emulators: Emulators) -> None:
    code = """
    asked = {"model": "gpt-4o", "input": "hello"}
    others = [client.models.list().data, client.files.create(file=("a", b"x"), purpose="batch")]
    answers = [client.chat.completions.create(**hello), client.responses.create(**asked), *others]
    streams = [client.chat.completions.create(stream=True, **hello), client.responses.create(stream=True, **asked)]
    result = extras([*answers, *[list(stream) for stream in streams]])
    """
    assert sdk(clients, emulators, EXTRAS + dedent(code), hello=HELLO) == []
