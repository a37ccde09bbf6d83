"""Converse with a Claude model that thinks: boto3's own loop, and turns that were changed on the way."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmauth.demo.bedrock_converse_turns import check_turns
from llmauth.demo.bedrock_models import Model
from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from llmauth.demo.shapes import Mismatch
from llmauth.demo.thoughts import sign
from tests.llmauth.demo.clients import Clients
from tests.llmauth.demo.test_bedrock import RUNTIME, SONNET, ask, sdk

CLAUDE, NOVA = Model("anthropic", "claude-x"), Model("amazon", "nova-pro-v1:0")
CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS = {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": CITY}}}]}
THINKING: dict[str, Any] = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
USER = {"role": "user", "content": [{"text": "hello"}]}
USE = {"toolUse": {"toolUseId": "a", "name": "f", "input": {}}}
RESULT = {"role": "user", "content": [{"toolResult": {"toolUseId": "a", "content": [{"text": "sunny"}]}}]}
THOUGHT = {"reasoningContent": {"reasoningText": {"text": "hm", "signature": sign("hm")}}}
LOOP = """
def whole(asked):
    answer = runtime.converse(modelId=model, **asked)
    return answer["output"]["message"], answer["usage"], answer.get("additionalModelResponseFields")

def streamed(asked):
    blocks, usage, extra = {}, None, None
    for event in runtime.converse_stream(modelId=model, **asked)["stream"]:
        kind, value = next(iter(event.items()))
        if kind == "contentBlockStart":
            blocks[value["contentBlockIndex"]] = {"toolUse": {**value["start"]["toolUse"], "input": ""}}
        elif kind == "contentBlockDelta":
            delta, index = value["delta"], value["contentBlockIndex"]
            if "text" in delta:
                block = blocks.setdefault(index, {"text": ""})
                block["text"] += delta["text"]
            elif "toolUse" in delta:
                blocks[index]["toolUse"]["input"] += delta["toolUse"]["input"]
            else:
                block = blocks.setdefault(index, {"reasoningContent": {"reasoningText": {"text": ""}}})
                told = block["reasoningContent"]["reasoningText"]
                told["text"] += delta["reasoningContent"].get("text", "")
                told |= {name: text for name, text in delta["reasoningContent"].items() if name == "signature"}
        elif kind == "messageStop":
            extra = value.get("additionalModelResponseFields")
        elif kind == "metadata":
            usage = value["usage"]
    content = [blocks[index] for index in sorted(blocks)]
    for block in content:
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"])
    return {"role": "assistant", "content": content}, usage, extra

import json
say = streamed if streams else whole
first, _, _ = say({**more, "messages": hello})
results = [
    {"toolResult": {"toolUseId": block["toolUse"]["toolUseId"], "content": [{"text": "sunny"}]}}
    for block in first["content"] if "toolUse" in block
]
result = [first, *say({**more, "messages": [*hello, first, {"role": "user", "content": results}]})]
"""


@pytest.mark.parametrize("streams", [False, True])
def test_a_loop_of_two_calls_goes_round(clients: Clients, emulators: Emulators, streams: bool) -> None:
    emulators.behave(RUNTIME, Behaviour(think=True, call_tool=True, calls=2))
    emulators.behave(RUNTIME, Behaviour(think=True))
    more: dict[str, Any] = {"toolConfig": TOOLS, "additionalModelRequestFields": THINKING}
    more["additionalModelResponseFieldPaths"] = ["/usage/output_tokens_details"]
    first, last, usage, extra = sdk(clients, emulators, LOOP, model=SONNET, more=more, streams=streams)
    kinds = [next(iter(block)) for block in first["content"]]
    assert kinds == ["reasoningContent", "toolUse", "toolUse"]
    uses = [block["toolUse"] for block in first["content"][1:]]
    assert [use["input"] for use in uses] == [{"city": "example"}, {"city": "example 2"}]
    assert len({use["toolUseId"] for use in uses}) == 2
    assert last["content"][1]["text"].startswith("Hello from the emulated Bedrock")
    assert (usage["outputTokens"], extra) == (31, {"usage": {"output_tokens_details": {"thinking_tokens": 7}}})


def asked(*blocks: dict[str, Any], fields: dict[str, Any] = THINKING, **more: Any) -> dict[str, Any]:
    turns = [USER, {"role": "assistant", "content": list(blocks)}, RESULT]
    return {"messages": turns, "toolConfig": TOOLS, "additionalModelRequestFields": fields, **more}


@pytest.mark.parametrize(
    ("body", "model", "path"),
    [
        (asked(THOUGHT, USE), CLAUDE, None),
        (asked(USE, fields={}), CLAUDE, None),
        (asked(USE, fields={"thinking": {"type": "adaptive"}}), CLAUDE, None),
        (asked(USE, fields={"unheardOf": 1}), NOVA, None),
        (asked(USE), CLAUDE, "messages[1].content[0].type"),
        (asked(USE, fields={"unheardOf": 1}), CLAUDE, "additionalModelRequestFields.unheardOf"),
        (
            asked({"reasoningContent": {"reasoningText": {"text": "ha", "signature": sign("hm")}}}, USE),
            CLAUDE,
            "messages[1].content[0].reasoningContent.reasoningText.signature",
        ),
        (asked({"reasoningContent": {"reasoningText": {"text": "hm"}}}, USE), CLAUDE, "messages[1].content[0]"),
        (asked({"reasoningContent": {"redactedContent": "eA=="}}, USE), CLAUDE, "messages[1].content[0]"),
        (asked(THOUGHT, USE, inferenceConfig={"temperature": 0.5}), CLAUDE, "inferenceConfig.temperature"),
        (asked(THOUGHT, USE, inferenceConfig={"maxTokens": 1000}), CLAUDE, "additionalModelRequestFields.thinking"),
        (asked(THOUGHT, USE, toolConfig={**TOOLS, "toolChoice": {"any": {}}}), CLAUDE, "toolConfig.toolChoice"),
        (asked({"toolUse": {**USE["toolUse"], "toolUseId": "b"}}, fields={}), NOVA, "messages[2].content"),
        ({"messages": [USER, RESULT], "toolConfig": TOOLS}, NOVA, "messages[1].content"),
    ],
)
def test_what_comes_back_is_verified(body: dict[str, Any], model: Model, path: str | None) -> None:
    if path is None:
        check_turns(body, model)
        return
    with pytest.raises(Mismatch) as caught:
        check_turns(body, model)
    assert caught.value.path.startswith(path)


def test_a_lost_thought_has_bedrocks_error(emulators: Emulators) -> None:
    for operation, body in (
        ("converse", asked(USE)),
        ("converse-stream", asked(USE)),
    ):
        reply = ask(emulators, "POST", RUNTIME, f"/model/{SONNET}/{operation}", json.dumps(body).encode())
        assert (reply.status, reply.header("x-amzn-errortype")) == (400, "ValidationException")
        assert "Expected `thinking` or `redacted_thinking`, but found `toolUse`" in reply.json()["message"]


def test_other_models_think_without_a_signature(emulators: Emulators) -> None:
    emulators.behave(RUNTIME, Behaviour(think=True))
    body = {"messages": [USER], "additionalModelRequestFields": {"reasoningConfig": {"type": "enabled"}}}
    reply = ask(emulators, "POST", RUNTIME, "/model/amazon.nova-2-lite-v1:0/converse", json.dumps(body).encode())
    thought, said = reply.json()["output"]["message"]["content"]
    assert set(thought["reasoningContent"]["reasoningText"]) == {"text"}
    assert said["text"].startswith("Hello")
