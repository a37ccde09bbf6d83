"""Converse and ConverseStream through boto3, which checks every frame's checksums; and the shapes that are refused."""

from __future__ import annotations

import json
from typing import Any

import botocore.session
import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from tests.llmauth.demo.clients import ClientProblem, Clients
from tests.llmauth.demo.test_bedrock import CONTROL, RUNTIME, SONNET, ask, sdk

WHOLE = "result = runtime.converse(modelId=model, messages=hello, **more); result.pop('ResponseMetadata')"
STREAM = "result = list(runtime.converse_stream(modelId=model, messages=hello, **more)['stream'])"
TOOLS = {
    "tools": [
        {
            "toolSpec": {
                "name": "switch",
                "inputSchema": {"json": {"type": "object", "properties": {"on": {"type": "boolean"}}}},
            }
        }
    ],
    "toolChoice": {"tool": {"name": "switch"}},
}
TURN = {"role": "user", "content": [{"text": "hello"}]}


def said(events: list[dict[str, Any]]) -> str:
    deltas = [event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event]
    return "".join(delta.get("text") or delta["toolUse"]["input"] for delta in deltas)


def test_a_stream_says_what_the_whole_answer_says(clients: Clients, emulators: Emulators) -> None:
    whole = sdk(clients, emulators, WHOLE, model=SONNET, more={})
    events = sdk(clients, emulators, STREAM, model=SONNET, more={})
    assert whole["output"]["message"]["content"][0]["text"] == said(events)
    assert whole["usage"] == {"inputTokens": whole["usage"]["inputTokens"], "outputTokens": 24} | {
        "totalTokens": whole["usage"]["inputTokens"] + 24
    }


def test_events_come_in_bedrocks_order_with_the_bill_after_the_stop(clients: Clients, emulators: Emulators) -> None:
    more = {"inferenceConfig": {"maxTokens": 2}}
    events = sdk(clients, emulators, STREAM, model=SONNET, more=more)
    assert [next(iter(event)) for event in events] == [
        "messageStart",
        "contentBlockDelta",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata",
    ]
    assert events[-2]["messageStop"]["stopReason"] == "max_tokens"


def test_payloads_are_padded(emulators: Emulators) -> None:
    reply = ask(
        emulators, "POST", RUNTIME, f"/model/{SONNET}/converse-stream", json.dumps({"messages": [TURN]}).encode()
    )
    assert reply.body.count(b'"p":"a') > 24
    assert reply.header("content-type") == "application/vnd.amazon.eventstream"


@pytest.mark.parametrize("size", [1, 37, 1000])
def test_frames_survive_any_cut(clients: Clients, emulators: Emulators, size: int) -> None:
    emulators.behave(RUNTIME, Behaviour(chunk_size=size))
    assert said(sdk(clients, emulators, STREAM, model=SONNET, more={})).startswith("Hello from the emulated Bedrock")


def test_a_forced_tool_is_called(clients: Clients, emulators: Emulators) -> None:
    events = sdk(clients, emulators, STREAM, model=SONNET, more={"toolConfig": TOOLS})
    assert events[1]["contentBlockStart"]["start"]["toolUse"]["name"] == "switch"
    assert json.loads(said(events)) == {"on": True}
    whole = sdk(clients, emulators, WHOLE, model=SONNET, more={"toolConfig": TOOLS})
    assert whole["output"]["message"]["content"][0]["toolUse"]["input"] == {"on": True}
    assert whole["stopReason"] == "tool_use"


def test_a_stream_that_fails_ends_with_an_exception_frame(clients: Clients, emulators: Emulators) -> None:
    emulators.behave(RUNTIME, Behaviour(fail_after=3))
    with pytest.raises(ClientProblem, match="modelStreamErrorException"):
        sdk(clients, emulators, STREAM, model=SONNET, more={})


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "'messages' is required"),
        ({"messages": [{"role": "tool", "content": [{"text": "x"}]}]}, "'messages[0].role' expected one of"),
        ({"messages": [{"role": "user", "content": []}]}, "'messages[0].content'"),
        ({"messages": [{"role": "user", "content": [{"text": "x", "image": {}}]}]}, "'messages[0].content[0]"),
        ({"messages": [{"role": "assistant", "content": [{"text": "x"}]}]}, "'messages[0].role'"),
        ({"messages": [TURN], "inferenceConfig": {"temperature": 1.5}}, "'inferenceConfig.temperature'"),
        ({"messages": [TURN], "stream": True}, "'stream' is not known here"),
        ({"messages": [TURN], "toolConfig": {"tools": []}}, "'toolConfig.tools'"),
        (
            {"messages": [{"role": "user", "content": [{"toolResult": {"toolUseId": "a", "content": []}}]}]},
            "'toolConfig' is required",
        ),
    ],
)
def test_the_wrong_shape_is_refused_and_named(emulators: Emulators, body: dict[str, Any], named: str) -> None:
    reply = ask(emulators, "POST", RUNTIME, f"/model/{SONNET}/converse", json.dumps(body).encode())
    assert (reply.status, reply.header("x-amzn-errortype")) == (400, "ValidationException")
    assert named in reply.json()["message"]


def unknown(shape: Any, value: Any, path: str = "") -> list[str]:
    """Members that AWS's service model does not have, at any depth."""
    if shape.type_name == "structure" and isinstance(value, dict):
        return [
            found
            for name, item in value.items()
            for found in (
                unknown(shape.members[name], item, f"{path}.{name}") if name in shape.members else [f"{path}.{name}"]
            )
        ]
    if shape.type_name == "list":
        return [found for item in value for found in unknown(shape.member, item, f"{path}[]")]
    return []


@pytest.mark.parametrize(
    ("service", "operation", "host", "method", "target", "body"),
    [
        ("bedrock-runtime", "Converse", RUNTIME, "POST", f"/model/{SONNET}/converse", {"messages": [TURN]}),
        ("bedrock", "ListFoundationModels", CONTROL, "GET", "/foundation-models", None),
        ("bedrock", "GetFoundationModel", CONTROL, "GET", f"/foundation-models/{SONNET}", None),
        ("bedrock", "ListInferenceProfiles", CONTROL, "GET", "/inference-profiles", None),
    ],
)
def test_nothing_is_said_that_the_service_model_does_not_know(
    emulators: Emulators, service: str, operation: str, host: str, method: str, target: str, body: Any
) -> None:
    reply = ask(emulators, method, host, target, b"" if body is None else json.dumps(body).encode())
    model = botocore.session.get_session().get_service_model(service)
    assert reply.status == 200
    assert unknown(model.operation_model(operation).output_shape, reply.json()) == []


def test_a_marked_prompt_is_written_and_then_read(clients: Clients, emulators: Emulators) -> None:
    more = {"system": [{"text": "x" * 400}, {"cachePoint": {"type": "default", "ttl": "1h"}}]}
    first = sdk(clients, emulators, WHOLE, model=SONNET, more=more)["usage"]
    again = sdk(clients, emulators, STREAM, model=SONNET, more=more)[-1]["metadata"]["usage"]
    written = first["cacheWriteInputTokens"]
    assert (written >= 100, first["cacheReadInputTokens"]) == (True, 0)
    assert first["cacheDetails"] == [{"ttl": "1h", "inputTokens": written}]
    assert (again["cacheReadInputTokens"], again["cacheWriteInputTokens"]) == (written, 0)
    assert first["totalTokens"] == first["inputTokens"] + written + first["outputTokens"] == again["totalTokens"]


def test_a_schema_is_answered_in_json(clients: Clients, emulators: Emulators) -> None:
    def asked(schema: str) -> dict[str, Any]:
        return {
            "outputConfig": {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": schema}}}}
        }

    more = asked(json.dumps(TOOLS["tools"][0]["toolSpec"]["inputSchema"]["json"]))  # type: ignore[index]
    whole = sdk(clients, emulators, WHOLE, model=SONNET, more=more)
    assert whole["output"]["message"]["content"][0]["text"] == said(
        sdk(clients, emulators, STREAM, model=SONNET, more=more)
    )
    assert json.loads(whole["output"]["message"]["content"][0]["text"]) == {"on": True}
    for wrong in ("no JSON", "[]"):
        body = json.dumps({"messages": [TURN], **asked(wrong)}).encode()
        assert ask(emulators, "POST", RUNTIME, f"/model/{SONNET}/converse", body).status == 400
