"""Google's own types judge what the Gemini codec writes, and what its golden answers are made of."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from llmauth.chat.messages import Audio, ChatRequest, Data, Message, Reasoning, Text, ToolCall, ToolResult
from llmauth.chat.words import Word
from llmauth.codecs.gemini.chunks import FINISHES
from llmauth.codecs.gemini.codec import GeminiProvider
from llmauth.codecs.gemini.thinking import thinking_config
from llmauth.demo import gemini_shapes
from tests.e2e.clients.sdks import Sdks
from tests.golden.cases import PNG, WEATHER, Case, asked, assistant, cases, user
from tests.golden.gemini import text_of
from tests.llmauth.demo.clients import cloud_interpreter

MODELS = ("gemini-2.5-flash", "gemini-3-pro-preview")
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")

# Each member of a body by the type that it has; the sampling stands in generationConfig and nowhere else.
_JUDGE = """
    import warnings
    from pydantic import TypeAdapter

    # A value that an enum does not know is a warning there, and no error.
    warnings.simplefilter("error")
    MEMBERS = {
        "contents": list[types.Content],
        "systemInstruction": types.Content,
        "tools": list[types.Tool],
        "toolConfig": types.ToolConfig,
        "generationConfig": types.GenerationConfig,
        "labels": dict[str, str],
        "serviceTier": types.ServiceTier,
    }

    def names(value):
        "The names of all members, where they stand; those of free objects too."
        if isinstance(value, dict):
            return {name: names(inner) for name, inner in value.items() if inner is not None}
        return [names(inner) for inner in value] if isinstance(value, list) else None

    def judged(kind, value):
        adapter = TypeAdapter(kind)
        read = adapter.validate_python(value)
        again = adapter.dump_python(read, mode="json", by_alias=True, exclude_none=True)
        assert names(again) == names(value), f"{again} is what is left of {value}"

    def request(body):
        for name, value in body.items():
            assert name in MEMBERS, f"{name} is no member of a request"
            judged(MEMBERS[name], value)

    def problem(judge, value):
        try:
            judge(value)
        except Exception as error:
            return f"{type(error).__name__}: {error}"[:500]

    def response(body):
        judged(types.GenerateContentResponse, body)

    result = {
        "requests": {name: problem(request, body) for name, body in requests.items()},
        "responses": {name: problem(response, body) for name, body in responses.items()},
        "finishes": [each.value for each in types.FinishReason],
        "levels": [each.value for each in types.ThinkingLevel],
    }
"""


def _more() -> dict[str, ChatRequest]:
    """What the golden cases do not hold."""
    call = ToolCall("c1", "look", "")
    blob = cases()["image"].request.messages[0].parts[0]
    result = ToolResult("c1", (Text("seen"), blob))  # type: ignore[arg-type]
    sampling = {
        Word.TOP_K: 40,
        Word.SEED: 7,
        Word.N: 2,
        Word.PRESENCE_PENALTY: 0.5,
        Word.FREQUENCY_PENALTY: 0.5,
        Word.LOGPROBS: True,
        Word.TOP_LOGPROBS: 3,
        Word.USER: "Ada@example.com",
        Word.SERVICE_TIER: "flex",
    }
    return {
        "picture in a result": asked(user("Look"), assistant(call), Message("tool", (result,)), tools=(WEATHER,)),
        "every parameter": asked(user("Hi"), parameters=sampling),
        "strict": asked(user("Hi"), tools=(replace(WEATHER, strict=True),)),
        "sound": asked(user(Audio(Data("audio/wav", PNG)))),
        "thoughts shown": asked(user("Hi"), reasoning=Reasoning("high", shown=True)),
    }


def _requests() -> dict[str, Any]:
    golden: dict[str, Case] = cases("gemini")
    every = {**{name: case.request for name, case in golden.items()}, **_more()}
    return {
        f"{name}, {model}": json.loads(GeminiProvider(model).render_request(request).body)
        for name, request in every.items()
        for model in MODELS
    }


def _responses() -> dict[str, Any]:
    found = {}
    for name in cases("gemini"):
        if name not in ("redacted thinking", "refusal"):
            found[name] = json.loads(text_of(f"{name}.response.json"))
            lines = [line for line in text_of(f"{name}.stream").splitlines() if line]
            found |= {f"{name}, chunk {i}": json.loads(line.removeprefix("data: ")) for i, line in enumerate(lines)}
    return found


_TURN = {"role": "user", "parts": [{"text": "Hi"}]}
BAD_REQUESTS = {
    "OpenAI's name": {"contents": [_TURN], "max_tokens": 5},
    "sampling at the top": {"contents": [_TURN], "temperature": 0.5},
    "a name nobody knows": {"contents": [_TURN], "generationConfig": {"maxTokens": 5}},
    "a name in snake case": {"contents": [_TURN], "generationConfig": {"max_output_tokens": 5}},
    "a part of OpenAI's": {"contents": [{"role": "user", "parts": [{"type": "text", "text": "Hi"}]}]},
    "a level nobody knows": {"contents": [_TURN], "generationConfig": {"thinkingConfig": {"thinkingLevel": "MAX"}}},
    "a mode nobody knows": {"contents": [_TURN], "toolConfig": {"functionCallingConfig": {"mode": "REQUIRED"}}},
    "a result that is a text": {
        "contents": [{"role": "user", "parts": [{"functionResponse": {"name": "f", "response": "x"}}]}]
    },
}
BAD_RESPONSES = {
    "a finish reason of OpenAI's": {"candidates": [{"finishReason": "tool_calls"}]},
    "a count that is none": {"usageMetadata": {"promptTokenCount": "many"}},
    "a member nobody knows": {"candidates": [{"message": {}}]},
}


@pytest.fixture(scope="module")
def verdict() -> Any:
    sdks = Sdks(cloud_interpreter(), "google.genai.types")
    try:
        return sdks.run(
            _JUDGE, {}, requests={**_requests(), **BAD_REQUESTS}, responses={**_responses(), **BAD_RESPONSES}
        )
    finally:
        sdks.close()


@pytest.mark.parametrize("name", _requests())
def test_our_requests_are_google_s(verdict: Any, name: str) -> None:
    assert verdict["requests"][name] is None


@pytest.mark.parametrize("name", _responses())
def test_our_golden_answers_are_google_s(verdict: Any, name: str) -> None:
    assert verdict["responses"][name] is None


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_bad_requests_are_found_bad(verdict: Any, name: str) -> None:
    assert verdict["requests"][name]


@pytest.mark.parametrize("name", BAD_RESPONSES)
def test_bad_answers_are_found_bad(verdict: Any, name: str) -> None:
    assert verdict["responses"][name]


def test_every_finish_reason_has_its_meaning(verdict: Any) -> None:
    assert set(verdict["finishes"]) == set(FINISHES)


def test_every_level_is_one(verdict: Any) -> None:
    levels = {thinking_config(Reasoning(effort), "gemini-3-flash", None)["thinkingLevel"] for effort in EFFORTS}
    assert levels <= set(verdict["levels"])


@pytest.mark.parametrize("name", _requests())
def test_our_requests_pass_the_emulator_too(name: str) -> None:
    assert gemini_shapes.generate(_requests()[name])["contents"]
