"""The official clients of Vertex against the emulated locations, and what is refused."""

from __future__ import annotations

import json
from textwrap import dedent
from typing import Any

import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from llmauth.demo.vertex import PROJECT, host_of
from tests.llmauth.demo.clients import ClientProblem, Clients
from tests.llmauth.demo.wire import Reply, call

HOST = "us-central1-aiplatform.googleapis.com"
GENAI = """
from google import genai
from google.oauth2.credentials import Credentials
client = genai.Client(
    enterprise=True, project="demo-project", location="us-central1", credentials=Credentials(token=token)
)
"""
EXPRESS = """
from google import genai
client = genai.Client(enterprise=True, api_key=key)
"""
CLAUDE = """
import anthropic
client = anthropic.AnthropicVertex(
    region="us-central1", project_id="demo-project", access_token=token, max_retries=0,
    _strict_response_validation=True,
)
"""
FLASH = f"/v1beta1/projects/{PROJECT}/locations/us-central1/publishers/google/models/gemini-2.5-flash"
SONNET = f"/v1/projects/{PROJECT}/locations/us-central1/publishers/anthropic/models/claude-sonnet-4-5@20250929"
HELLO: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}
MESSAGE: dict[str, Any] = {
    "anthropic_version": "vertex-2023-10-16",
    "max_tokens": 1024,
    "messages": [{"role": "user", "content": "hello"}],
}


def genai(clients: Clients, emulators: Emulators, code: str, **names: Any) -> Any:
    names.setdefault("token", emulators.credentials.google_token)
    return clients.run(emulators, GENAI + dedent(code), **names)


def claude(clients: Clients, emulators: Emulators, code: str, **names: Any) -> Any:
    hello = {"model": "claude-sonnet-4-5@20250929", "max_tokens": 1024, "messages": MESSAGE["messages"]}
    names.setdefault("token", emulators.credentials.google_token)
    return clients.run(emulators, CLAUDE + dedent(code), hello=hello, **names)


def ask(
    emulators: Emulators, target: str, body: Any = b"", *, host: str = HOST, method: str = "", **fields: Any
) -> Reply:
    headers = {
        "authorization": f"Bearer {emulators.credentials.google_token}",
        "content-type": "application/json",
        **{name.replace("_", "-"): value for name, value in fields.items()},
    }
    sent = {name: value for name, value in headers.items() if value is not None}
    return call(emulators, host, method or ("POST" if body else "GET"), target, sent, body)


def told(reply: Reply) -> tuple[int, str, str | None]:
    """Status, name of the status, and reason of an error in Google's shape."""
    error = reply.json()["error"]
    assert error["code"] == reply.status
    return reply.status, error["status"], error.get("details", [{}])[0].get("reason")


# ---- Gemini ----------------------------------------------------------------------------------------------------------


def test_gemini_answers_whole_and_in_pieces(cloud_clients: Clients, emulators: Emulators) -> None:
    code = """
    asked = {"model": "gemini-2.5-flash", "contents": "hello"}
    whole = client.models.generate_content(**asked)
    pieces = list(client.models.generate_content_stream(**asked))
    result = {
        "whole": whole.text, "reason": whole.candidates[0].finish_reason,
        "said": whole.usage_metadata.candidates_token_count,
        "streamed": "".join(piece.text for piece in pieces), "pieces": len(pieces),
        "last": pieces[-1].candidates[0].finish_reason, "early": pieces[0].usage_metadata.candidates_token_count,
    }
    """
    said = genai(cloud_clients, emulators, code)
    assert said["whole"].startswith("Hello from the emulated Gemini")
    assert said["streamed"] == said["whole"]
    assert (said["reason"], said["last"], said["said"], said["early"]) == ("STOP", "STOP", 24, None)
    assert said["pieces"] == 23  # the first has two parts
    assert emulators.requests(HOST)[1].target == FLASH.encode() + b":streamGenerateContent?alt=sse"


def test_a_function_call_ends_with_stop_and_has_a_signature(cloud_clients: Clients, emulators: Emulators) -> None:
    code = """
    from google.genai import types
    tool = types.Tool(function_declarations=[{
        "name": "weather", "parameters": {"type": "OBJECT", "properties": {"town": {"type": "STRING"}}},
    }])
    config = types.GenerateContentConfig(
        tools=[tool], tool_config={"function_calling_config": {"mode": "ANY"}},
        thinking_config={"include_thoughts": True}, temperature=0.5, max_output_tokens=100,
        system_instruction="Be brief.",
    )
    answer = client.models.generate_content(model="gemini-2.5-flash", contents="hello", config=config)
    thought, call = answer.candidates[0].content.parts
    result = [
        thought.thought, call.function_call.name, call.function_call.args, len(call.thought_signature),
        answer.candidates[0].finish_reason, answer.usage_metadata.thoughts_token_count,
    ]
    """
    assert genai(cloud_clients, emulators, code) == [True, "weather", {"town": "example"}, 56, "STOP", 7]


def test_a_blocked_prompt_has_no_candidates(emulators: Emulators) -> None:
    emulators.behave(HOST, Behaviour(error="SAFETY"), times=2)
    assert "candidates" not in ask(emulators, f"{FLASH}:generateContent", HELLO).json()
    (event,) = ask(emulators, f"{FLASH}:streamGenerateContent?alt=sse", HELLO).body.split(b"\r\n\r\n")[:-1]
    assert json.loads(event.removeprefix(b"data: "))["promptFeedback"]["blockReason"] == "SAFETY"


def test_the_rest_of_the_api(cloud_clients: Clients, emulators: Emulators) -> None:
    code = """
    models = client.models
    result = {
        "counted": models.count_tokens(model="gemini-2.5-flash", contents="hello").total_tokens,
        "older": len(models.embed_content(model="text-embedding-005", contents=["a", "b"]).embeddings),
        "newer": len(models.embed_content(model="gemini-embedding-2", contents="a").embeddings[0].values),
        "listed": [model.name for model in models.list(config={"query_base": True})],
        "one": models.get(model="gemini-2.5-flash").name,
    }
    """
    said = genai(cloud_clients, emulators, code)
    assert said["counted"] > 0
    assert (said["older"], said["newer"]) == (2, 3072)
    assert said["one"] == "publishers/google/models/gemini-2.5-flash"
    assert said["one"] in said["listed"]


def test_express_mode_takes_a_key(cloud_clients: Clients, emulators: Emulators) -> None:
    code = "result = client.models.generate_content(model='gemini-2.5-flash', contents='hello').text"
    key = emulators.credentials.google_key
    assert cloud_clients.run(emulators, EXPRESS + code, key=key).startswith("Hello")
    (seen,) = emulators.requests(host_of("global"))
    assert seen.target == b"/v1beta1/publishers/google/models/gemini-2.5-flash:generateContent"


def test_without_sse_a_stream_is_an_array(emulators: Emulators) -> None:
    answer = ask(emulators, f"{FLASH}:streamGenerateContent", HELLO)
    assert answer.header("content-type") == "application/json; charset=UTF-8"
    assert answer.json()[-1]["candidates"][0]["finishReason"] == "STOP"
    assert len(answer.json()) == 23


def test_and_so_is_its_error(emulators: Emulators) -> None:
    (refused,) = ask(emulators, f"{FLASH}:streamGenerateContent", HELLO, authorization="Bearer x").json()
    assert refused["error"]["status"] == "UNAUTHENTICATED"
    emulators.behave(HOST, Behaviour(fail_after=2), times=2)
    *said, failed = ask(emulators, f"{FLASH}:streamGenerateContent", HELLO).json()
    assert (len(said), failed["error"]["status"]) == (2, "UNAVAILABLE")
    assert b'data: {"error":' in ask(emulators, f"{FLASH}:streamGenerateContent?alt=sse", HELLO).body


def test_snake_case_is_taken_too(emulators: Emulators) -> None:
    body = {**HELLO, "generation_config": {"max_output_tokens": 3}, "system_instruction": {"parts": [{"text": "x"}]}}
    answer = ask(emulators, f"{FLASH}:generateContent", body).json()
    assert answer["candidates"][0]["finishReason"] == "MAX_TOKENS"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"labels": {}}, "contents"),
        ({**HELLO, "temperature": 1}, 'Unknown name "temperature"'),
        ({**HELLO, "generationConfig": {"temperature": 3}}, "generationConfig.temperature"),
        ({"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]}, "contents[0].role"),
        ({"contents": [{"parts": [{"text": "x", "inlineData": {"mimeType": "a", "data": "b"}}]}]}, "exactly one of"),
        ({"contents": [{"parts": [{"functionResponse": {"name": "f", "response": {}}}]}]}, "contents[0]"),
        ({"contents": [{"parts": [{"functionResponse": {"name": "f", "response": "x"}}]}]}, "response"),
    ],
)
def test_a_request_of_the_wrong_shape_names_the_field(emulators: Emulators, body: dict[str, Any], named: str) -> None:
    answer = ask(emulators, f"{FLASH}:generateContent", body)
    assert answer.status == 400
    assert named in answer.json()["error"]["message"]


# ---- Claude ----------------------------------------------------------------------------------------------------------


def test_claude_answers_whole_and_in_pieces(cloud_clients: Clients, emulators: Emulators) -> None:
    code = """
    with client.messages.stream(**hello) as stream:
        streamed = "".join(stream.text_stream)
    counted = client.messages.count_tokens(model=hello["model"], messages=hello["messages"]).input_tokens
    result = [client.messages.create(**hello).content[0].text, streamed, counted > 0]
    """
    whole, streamed, counted = claude(cloud_clients, emulators, code)
    assert whole == streamed
    assert (whole.startswith("Hello from the emulated Claude"), counted) == (True, True)
    targets = [seen.target.rpartition(b"/")[2] for seen in emulators.requests(HOST)]
    assert targets == [
        b"claude-sonnet-4-5@20250929:streamRawPredict",
        b"count-tokens:rawPredict",
        b"claude-sonnet-4-5@20250929:rawPredict",
    ]


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        (f"{SONNET}:rawPredict", {**MESSAGE, "model": "x"}, "invalid_request_error"),
        (f"{SONNET}:rawPredict", {**MESSAGE, "anthropic_version": "2023-06-01"}, "invalid_request_error"),
        (f"{SONNET}:rawPredict", {**MESSAGE, "stream": True}, "invalid_request_error"),
        (f"{SONNET}:streamRawPredict", MESSAGE, "invalid_request_error"),
        (f"{SONNET.replace('claude', 'llama')}:rawPredict", MESSAGE, "not_found_error"),
    ],
)
def test_claudes_own_refusals_have_anthropics_shape(
    emulators: Emulators, path: str, body: dict[str, Any], kind: str
) -> None:
    answer = ask(emulators, path, body)
    assert answer.status in (400, 404)
    assert answer.json()["type"] == "error"
    assert answer.json()["error"]["type"] == kind


# ---- who asks, and where ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bearer", "reason"),
    [
        (None, "CREDENTIALS_MISSING"),
        ("Bearer x", "ACCESS_TOKEN_TYPE_UNSUPPORTED"),
        ("x", "ACCESS_TOKEN_TYPE_UNSUPPORTED"),
    ],
)
def test_without_its_token_nothing_is_answered(emulators: Emulators, bearer: str | None, reason: str) -> None:
    answer = ask(emulators, f"{FLASH}:generateContent", HELLO, authorization=bearer)
    assert told(answer) == (401, "UNAUTHENTICATED", reason)
    assert 'error="invalid_token"' in (answer.header("www-authenticate") or "")


def test_a_wrong_key_is_a_400(emulators: Emulators) -> None:
    path = "/v1beta1/publishers/google/models/gemini-2.5-flash:generateContent"
    answer = ask(emulators, path, HELLO, authorization=None, x_goog_api_key="AIza-wrong")
    assert told(answer) == (400, "INVALID_ARGUMENT", "API_KEY_INVALID")
    answer = ask(emulators, f"{FLASH}:generateContent", HELLO, authorization=None, x_goog_api_key="any")
    assert told(answer)[:2] == (401, "UNAUTHENTICATED")


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("", {"x_goog_api_key": "x"}),
        ("", {"x_api_key": "x"}),
        ("", {"x_note": "llmauth_ABCDEFGHIJ_" + "x" * 43}),
        ("?key=x", {}),
        ("?access_token=x", {}),
    ],
)
def test_a_clients_leftover_is_refused(emulators: Emulators, query: str, fields: dict[str, str]) -> None:
    answer = ask(emulators, f"{FLASH}:generateContent{query}", HELLO, **fields)
    assert told(answer) == (400, "INVALID_ARGUMENT", "leftover_credential")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{FLASH}:generateContent".replace(PROJECT, "another"), 403),
        (f"{FLASH}:generateContent".replace("us-central1", "europe-west4"), 400),
        (f"{FLASH}:unheardOf", 400),
        (f"{FLASH}:embedContent", 400),
        (f"{FLASH}-9:generateContent", 404),
        (f"{FLASH}:generateContent".replace("v1beta1", "v2"), 404),
        (f"{FLASH}:generateContent".replace("google", "meta"), 404),
        ("/v1/models", 404),
    ],
)
def test_what_is_not_there(emulators: Emulators, path: str, status: int) -> None:
    assert told(ask(emulators, path, HELLO))[0] == status


def test_a_failure_by_script(cloud_clients: Clients, emulators: Emulators) -> None:
    emulators.behave(HOST, Behaviour(status=429))
    with pytest.raises(ClientProblem, match="RESOURCE_EXHAUSTED") as caught:
        genai(cloud_clients, emulators, "client.models.generate_content(model='gemini-2.5-flash', contents='hello')")
    assert caught.value.kind == "ClientError"


def test_echo_gives_the_bytes_back(emulators: Emulators) -> None:
    answer = ask(emulators, "/v1/echo/x", b"\x00\x01", content_type="application/x-unheard-of")
    assert (answer.body, answer.header("content-type")) == (b"\x00\x01", "application/x-unheard-of")
