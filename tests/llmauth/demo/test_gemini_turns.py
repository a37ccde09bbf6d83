"""Signatures of Gemini's thoughts: what the official client sends back by itself, and what is refused."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from llmauth.demo.gemini_turns import TEXT, check_signatures
from llmauth.demo.shapes import Mismatch
from llmauth.demo.thoughts import of_call, sign
from tests.llmauth.demo.clients import Clients
from tests.llmauth.demo.test_vertex import FLASH, HELLO, HOST, ask, genai, told

G2, G3 = "gemini-2.5-flash", "gemini-3-pro-preview"
GOOD = sign(of_call("f", {"a": 1}), b"salt")
SKIP = "skip_thought_signature_validator"
USER = {"role": "user", "parts": [{"text": "hello"}]}
ANSWER = {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]}
LOOP = """
from google.genai import types
declaration = types.FunctionDeclaration(name="f", parameters_json_schema=schema)
config = types.GenerateContentConfig(
    tools=[types.Tool(function_declarations=[declaration])], thinking_config={"include_thoughts": True}
)

def say(contents):
    asked = {"model": model, "contents": contents, "config": config}
    if not streams:
        answer = client.models.generate_content(**asked)
        return answer.candidates[0].content.parts, answer.usage_metadata
    chunks = list(client.models.generate_content_stream(**asked))
    return [part for one in chunks for part in one.candidates[0].content.parts or ()], chunks[-1].usage_metadata

contents = [types.Content(role="user", parts=[types.Part(text="hello")])]
parts, _ = say(contents)
calls = [part.function_call for part in parts if part.function_call]
contents.append(types.Content(role="model", parts=parts))
contents.append(types.Content(role="user", parts=[
    types.Part(function_response=types.FunctionResponse(id=call.id, name="f", response={"output": "sunny"}))
    for call in calls
]))
last, usage = say(contents)
result = {
    "calls": [call.args for call in calls], "ids": [call.id for call in calls],
    "signed": [bool(part.thought_signature) for part in parts if part.function_call],
    "thoughts": [bool(part.thought) for part in last if part.thought], "counted": usage.thoughts_token_count,
    "signed_text": bool(last[-1].thought_signature), "said": "".join(p.text for p in last if not p.thought),
}
"""


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("model", [G2, G3])
def test_a_loop_of_two_calls_goes_round(
    cloud_clients: Clients, emulators: Emulators, model: str, streams: bool
) -> None:
    emulators.behave(HOST, Behaviour(think=True, call_tool=True, calls=2))
    emulators.behave(HOST, Behaviour(think=True))
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    said = genai(cloud_clients, emulators, LOOP, model=model, streams=streams, schema=schema)
    assert said["calls"] == [{"city": "example"}, {"city": "example 2"}]
    assert [id_ is not None for id_ in said["ids"]] == [model == G3] * 2
    assert (said["signed"], said["signed_text"]) == ([True, False], True)
    assert (said["thoughts"], said["counted"]) == ([True], 7)
    assert said["said"].startswith("Hello from the emulated Gemini")


def called(signature: str | None = None, **more: Any) -> dict[str, Any]:
    part: dict[str, Any] = {"functionCall": {"name": "f", "args": {"a": 1}, **more}}
    return part if signature is None else {**part, "thoughtSignature": signature}


def model_says(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "model", "parts": list(parts)}


@pytest.mark.parametrize(
    ("contents", "model", "path"),
    [
        ([USER, model_says(called(GOOD)), ANSWER], G3, None),
        ([USER, model_says(called(GOOD), called()), ANSWER], G3, None),
        ([USER, model_says(called(SKIP)), ANSWER], G3, None),
        ([USER, model_says(called(base64.b64encode(SKIP.encode()).decode())), ANSWER], G3, None),
        ([USER, model_says(called()), ANSWER, model_says({"text": "so"}), USER], G3, None),
        ([USER, model_says({"text": "so", "thoughtSignature": sign(TEXT)}), USER], G3, None),
        ([USER, model_says(called()), ANSWER], G2, None),
        ([USER, model_says(called()), ANSWER], G3, "contents[1].parts[0]"),
        ([USER, model_says({"text": "so"}, called(), called(GOOD)), ANSWER], G3, "contents[1].parts[1]"),
        ([USER, model_says(called(GOOD)), ANSWER, model_says(called()), ANSWER], G3, "contents[3].parts[0]"),
        ([USER, model_says(called("c2ln")), ANSWER], G2, "contents[1].parts[0].thought_signature"),
        ([USER, model_says(called(GOOD, args={"a": 2})), ANSWER], G2, "contents[1].parts[0].thought_signature"),
        ([USER, model_says({"text": "so", "thought_signature": GOOD}), USER], G2, "contents[1].parts[0]"),
    ],
)
def test_what_comes_back_is_verified(contents: list[dict[str, Any]], model: str, path: str | None) -> None:
    if path is None:
        check_signatures({"contents": contents}, model)
        return
    with pytest.raises(Mismatch) as caught:
        check_signatures({"contents": contents}, model)
    assert caught.value.path.startswith(path)


def test_a_lost_signature_has_googles_error(emulators: Emulators) -> None:
    path = f"{FLASH.replace(G2, G3)}:generateContent"
    lost = {"contents": [USER, model_says(called()), ANSWER]}
    assert told(ask(emulators, path, lost))[:2] == (400, "INVALID_ARGUMENT")
    assert "thought_signature" in ask(emulators, path, lost).json()["error"]["message"]


def test_gemini_3_counts_thoughts_that_nobody_asked_to_see(emulators: Emulators) -> None:
    for model, thoughts in ((G3, 7), (G2, None)):
        answer = ask(emulators, f"{FLASH.replace(G2, model)}:generateContent", HELLO).json()
        assert answer["usageMetadata"].get("thoughtsTokenCount") == thoughts
        assert len(answer["candidates"][0]["content"]["parts"]) == 1


def test_the_ids_of_answers_are_those_of_calls(emulators: Emulators) -> None:
    contents = [
        USER,
        model_says(called(GOOD, id="1")),
        {**ANSWER, "parts": [{"functionResponse": {"id": "2", "name": "f", "response": {}}}]},
    ]
    assert ask(emulators, f"{FLASH}:generateContent", {"contents": contents}).status == 400
