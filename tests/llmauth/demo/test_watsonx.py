"""The emulated watsonx and data platform: strict where IBM is, read by the official SDK."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from tests.llmauth.demo.wire import Reply, call

HOST = "us-south.ml.cloud.ibm.com"
PLATFORM = "api.dataplatform.cloud.ibm.com"
PROJECT = "11111111-2222-3333-4444-555555555555"
ASKED: dict[str, Any] = {
    "model_id": "ibm/granite-4-h-small",
    "project_id": PROJECT,
    "messages": [{"role": "user", "content": "hello"}],
}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


def ask(
    emulators: Emulators,
    body: dict[str, Any] | None,
    path: str = "/ml/v1/text/chat?version=2026-10-14",
    host: str = HOST,
) -> Reply:
    headers = {"Authorization": f"Bearer {emulators.ibm_tokens.issue()}"}
    if body is None:
        return call(emulators, host, "GET", path, headers)
    return call(emulators, host, "POST", path, headers | {"Content-Type": "application/json"}, body)


def code(reply: Reply) -> str:
    (error,) = reply.json()["errors"]
    assert error["message"]
    assert error["more_info"]
    assert reply.json()["status_code"] == reply.status
    return str(error["code"])


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in ASKED.items() if key != name}


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        (None, "authorization_rejected"),
        ("Bearer wrong", "authentication_token_not_valid"),
        ("Basic Yng6Yng=", "authentication_token_not_valid"),
        ("Bearer", "authorization_rejected"),
    ],
)
def test_only_a_token_of_its_iam_is_taken(emulators: Emulators, header: str | None, kind: str) -> None:
    for host in (HOST, PLATFORM):
        reply = call(emulators, host, "GET", "/v2/projects/x", {"Authorization": header} if header else {})
        assert (reply.status, code(reply)) == (401, kind)


def test_a_token_that_was_revoked_is_none(emulators: Emulators) -> None:
    token = emulators.ibm_tokens.issue()
    emulators.ibm_tokens.revoke(token)
    assert call(emulators, PLATFORM, "GET", "/v2/projects/x", {"Authorization": f"Bearer {token}"}).status == 401


@pytest.mark.parametrize("name", ["X-API-Key", "api-key", "X-Amz-Date", "X-Content-SHA256", "X-Mine"])
def test_what_a_client_left_behind_is_a_leak(emulators: Emulators, name: str) -> None:
    headers = {"Authorization": f"Bearer {emulators.ibm_tokens.issue()}", name: "llmauth_abc_def"}
    reply = call(emulators, PLATFORM, "GET", f"/v2/projects/{PROJECT}", headers)
    assert (reply.status, code(reply)) == (400, "leftover_credential")


@pytest.mark.parametrize("query", ["", "?version=", "?version=latest", "?version=2026-10-14&version=2026-10-14"])
def test_the_version_is_wanted_once(emulators: Emulators, query: str) -> None:
    assert code(ask(emulators, ASKED, f"/ml/v1/text/chat{query}")) == "invalid_query_parameter"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (without("model_id"), "missing_field"),
        (without("messages"), "missing_field"),
        (without("project_id"), "invalid_input_argument"),
        (ASKED | {"space_id": "s"}, "invalid_input_argument"),
        (ASKED | {"model": "x"}, "json_validation_error"),
        (ASKED | {"stream": True}, "json_validation_error"),
        (ASKED | {"temperature": 3}, "invalid_input_argument"),
        (ASKED | {"messages": []}, "invalid_input_argument"),
        (ASKED | {"tool_choice_option": "auto"}, "missing_field"),
        (ASKED | {"tool_choice": "auto", "tools": [TOOL]}, "invalid_input_argument"),
        (ASKED | {"tool_choice": {}, "tool_choice_option": "auto", "tools": [TOOL]}, "invalid_input_argument"),
        (ASKED | {"model_id": "unheard/of"}, "model_not_supported"),
        (ASKED | {"model_id": "ibm/slate-30m-english-rtrvr-v2"}, "model_not_supported"),
    ],
)
def test_a_question_is_held_to_ibms_fields(emulators: Emulators, body: dict[str, Any], kind: str) -> None:
    for path in ("chat", "chat_stream"):
        assert code(ask(emulators, body, f"/ml/v1/text/{path}?version=2026-10-14")) == kind


def test_an_answer_and_its_stream(emulators: Emulators) -> None:
    whole = ask(emulators, ASKED).json()
    assert whole["model_id"] == ASKED["model_id"]
    assert whole["choices"][0]["message"]["content"].startswith("Hello from the emulated watsonx")
    streamed = ask(emulators, ASKED, "/ml/v1/text/chat_stream?version=2026-10-14")
    assert streamed.header("content-type") == "text/event-stream"
    events = [event.split("\n") for event in streamed.body.decode().strip().split("\n\n")]
    assert [lines[0] for lines in events] == [f"id: {number}" for number in range(1, len(events) + 1)]
    assert {lines[1] for lines in events} == {"event: message"}
    chunks = [json.loads(lines[2].removeprefix("data: ")) for lines in events]
    said = "".join(c["choices"][0]["delta"].get("content", "") for c in chunks if c["choices"])
    assert said == whole["choices"][0]["message"]["content"]
    assert (chunks[-1]["choices"], chunks[-1]["usage"].keys()) == ([], whole["usage"].keys())
    assert b"[DONE]" not in streamed.body


def test_a_stream_that_fails_says_so(emulators: Emulators) -> None:
    emulators.behave(HOST, Behaviour(fail_after=2))
    body = ask(emulators, ASKED, "/ml/v1/text/chat_stream?version=2026-10-14").body
    assert body.rstrip().split(b"\n\n")[-1].startswith(b"id: 3\nevent: error\n")


@pytest.mark.parametrize("path", ["chat", "chat_stream"])
def test_a_tool_is_called(emulators: Emulators, path: str) -> None:
    asked = ASKED | {"tools": [TOOL], "tool_choice_option": "required"}
    assert b'"name":"weather"' in ask(emulators, asked, f"/ml/v1/text/{path}?version=2026-10-14").body


def test_a_deployment_takes_neither_model_nor_project(emulators: Emulators) -> None:
    path = "/ml/v1/deployments/my-model/text/chat?version=2026-10-14"
    assert ask(emulators, {"messages": ASKED["messages"]}, path).status == 200
    assert code(ask(emulators, ASKED, path)) == "json_validation_error"


def test_embeddings_tokens_and_models(emulators: Emulators) -> None:
    asked = {"model_id": "ibm/slate-30m-english-rtrvr-v2", "space_id": "s", "inputs": ["a", "b"]}
    assert len(ask(emulators, asked, "/ml/v1/text/embeddings?version=2026-10-14").json()["results"]) == 2
    counted = {"model_id": "ibm/granite-4-h-small", "project_id": PROJECT, "input": "hello"}
    assert ask(emulators, counted, "/ml/v1/text/tokenization?version=2026-10-14").json()["result"]["token_count"] > 0
    path = "/ml/v1/foundation_model_specs?version=2026-10-14"
    every = ask(emulators, None, path).json()["resources"]
    chats = ask(emulators, None, f"{path}&limit=2&filters=function_text_chat%2C%21lifecycle_withdrawn%3Aand").json()
    assert (chats["total_count"], len(chats["resources"]), len(every)) == (4, 2, 6)


def test_a_project_has_what_the_sdk_looks_for(emulators: Emulators) -> None:
    for kind in ("projects", "spaces"):
        entity = ask(emulators, None, f"/v2/{kind}/{PROJECT}", PLATFORM).json()["entity"]
        assert entity["storage"]["type"]
        assert entity["compute"][0]["guid"]
    assert ask(emulators, None, "/v2/catalogs", PLATFORM).status == 404


@pytest.mark.parametrize(("path", "status"), [("/ml/v1/nothing?version=2026-10-14", 404), ("/ml/v1/text/chat", 405)])
def test_what_is_not_there(emulators: Emulators, path: str, status: int) -> None:
    assert ask(emulators, None, path).status == status


SDK = """
import os, warnings
warnings.simplefilter("ignore")
os.environ["WX_CLIENT_VERIFY_REQUESTS"] = os.environ["SSL_CERT_FILE"]
from ibm_watsonx_ai import APIClient, Credentials
from ibm_watsonx_ai.foundation_models import ModelInference

client = APIClient(Credentials(url="https://us-south.ml.cloud.ibm.com", api_key=key), project_id=project)
model = ModelInference(model_id="ibm/granite-4-h-small", api_client=client, project_id=project)
asked = [{"role": "user", "content": "hello"}]
chunks = [one["choices"][0] for one in model.chat_stream(messages=asked) if one["choices"]]
streamed = "".join(one["delta"].get("content", "") for one in chunks)
result = [model.chat(messages=asked)["choices"][0]["message"]["content"], streamed]
"""


def test_the_official_sdk_is_answered_directly(emulators: Emulators, cloud_clients: Any) -> None:
    """Its own IAM exchange, Basic `bx:bx` and all, then the project, the models, and the chat."""
    whole, streamed = cloud_clients.run(emulators, SDK, key=emulators.credentials.ibm_api_key, project=PROJECT)
    assert whole == streamed
    assert whole.startswith("Hello from the emulated watsonx")
    assert {one.host for one in emulators.requests()} == {"iam.cloud.ibm.com", PLATFORM, HOST}


def streamed(reply: Reply) -> list[dict[str, Any]]:
    """The choices of the deltas of a stream."""
    lines = [line.removeprefix("data: ") for line in reply.body.decode().split("\n") if line.startswith("data: ")]
    return [choice["delta"] for line in lines for choice in json.loads(line)["choices"]]


def test_thoughts_are_told_where_they_are_asked_for(emulators: Emulators) -> None:
    stream = "/ml/v1/text/chat_stream?version=2026-10-14"
    emulators.behave(HOST, Behaviour(think=True), times=4)
    thoughtful = {**ASKED, "reasoning_effort": "low"}
    answer = ask(emulators, thoughtful).json()
    message = answer["choices"][0]["message"]
    assert answer["usage"]["completion_tokens"] == 24 + 7
    assert answer["usage"]["completion_tokens_details"] == {"reasoning_tokens": 7}
    deltas = streamed(ask(emulators, thoughtful, stream))
    assert "".join(one.get("reasoning_content", "") for one in deltas) == message["reasoning_content"]
    assert "".join(one.get("content", "") for one in deltas) == message["content"]
    for plain in (ASKED, {**thoughtful, "include_reasoning": False}):
        assert "reasoning_content" not in ask(emulators, plain).json()["choices"][0]["message"]


def test_two_calls_and_a_schema(emulators: Emulators) -> None:
    emulators.behave(HOST, Behaviour(call_tool=True, calls=2), times=2)
    calls = ask(emulators, {**ASKED, "tools": [TOOL]}).json()["choices"][0]["message"]["tool_calls"]
    assert len({call["id"] for call in calls}) == 2
    pieces = [
        piece
        for delta in streamed(ask(emulators, {**ASKED, "tools": [TOOL]}, "/ml/v1/text/chat_stream?version=2026-10-14"))
        for piece in delta.get("tool_calls", ())
    ]
    assert [piece["index"] for piece in pieces if "id" in piece] == [0, 1]
    schema = {"name": "n", "schema": {"type": "object", "properties": {"a": {"type": "integer"}}}}
    asked = {**ASKED, "response_format": {"type": "json_schema", "json_schema": schema}}
    assert ask(emulators, asked).json()["choices"][0]["message"]["content"] == '{"a":1}'


def test_the_order_of_vectors_is_that_of_the_texts(emulators: Emulators) -> None:
    path = "/ml/v1/text/embeddings?version=2026-10-14"
    asked = {"model_id": "ibm/slate-30m-english-rtrvr-v2", "project_id": PROJECT}
    first, second = (
        one["embedding"] for one in ask(emulators, {**asked, "inputs": ["a", "b"]}, path).json()["results"]
    )
    assert ask(emulators, {**asked, "inputs": ["b"]}, path).json()["results"][0]["embedding"] == second != first
    assert len(first) == 384
