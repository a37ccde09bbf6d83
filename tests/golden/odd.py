"""Odd but legal: requests of OpenAI's chat and of Anthropic's Messages, and answers of providers."""

from __future__ import annotations

from typing import Any

from tests.golden.cases import PDF, PERSON, PNG

Body = dict[str, Any]

_CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_NESTED = {
    "type": "object",
    "properties": {
        "where": {
            "type": "object",
            "properties": {"lat": {"type": "number"}, "additionalProperties": {"type": "string"}},
        },
        "units": {"type": "string", "enum": ["c", "f"], "default": "c"},
        "days": {"type": "array", "items": {"$ref": "#/$defs/day"}},
        "note": {"type": ["string", "null"]},
    },
    "additionalProperties": False,
    "$defs": {"day": {"type": "string", "format": "date"}},
}
LONG_ID = "call_" + "x" * 80


def _tool(name: str = "get_weather", schema: Body | None = None, **more: Any) -> Body:
    function = {"name": name, "description": "The weather of a city.", "parameters": schema or _CITY, **more}
    return {"type": "function", "function": function}


def _call(identity: str, name: str = "get_weather", arguments: str = '{"city":"Paris"}') -> Body:
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}


def _said(role: str, content: Any, **more: Any) -> Body:
    return {"role": role, "content": content, **more}


def _result(identity: str, content: Any = "18 degrees") -> Body:
    return {"role": "tool", "tool_call_id": identity, "content": content}


def _chat(*messages: Body, **more: Any) -> Body:
    return {"model": "golden-model", "messages": list(messages), **more}


_HI = _said("user", "Hi")
_IMAGE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
_LINK = {"type": "image_url", "image_url": {"url": "https://example.com/cat.jpg", "detail": "high"}}


def _text(text: str, **more: Any) -> Body:
    return {"type": "text", "text": text, **more}


# Of OpenAI's chat.
CHATS: dict[str, Body] = {
    "empty texts": _chat(
        _said("system", ""), _said("user", [_text(""), _text("Hi")]), _said("assistant", ""), _said("user", "Again")
    ),
    "blank texts": _chat(_HI, _said("assistant", " \n"), _said("user", [_text("Again"), _text("  ")])),
    "assistant with null beside calls": _chat(
        _HI, _said("assistant", None, tool_calls=[_call("call_1")]), _result("call_1"), tools=[_tool()]
    ),
    "results out of order": _chat(
        _HI,
        _said("assistant", None, tool_calls=[_call("call_1"), _call("call_2", "get_time")]),
        _result("call_2", "noon"),
        _result("call_1"),
        tools=[_tool(), _tool("get_time")],
    ),
    "calls in two rounds": _chat(
        _HI,
        _said("assistant", None, tool_calls=[_call("call_1")]),
        _result("call_1"),
        _said("assistant", None, tool_calls=[_call("call_2", "get_time")]),
        _result("call_2", "noon"),
        _said("user", "And?"),
        tools=[_tool(), _tool("get_time")],
    ),
    "a call without arguments": _chat(
        _HI,
        _said("assistant", None, tool_calls=[_call("call_1", arguments="")]),
        _result("call_1", ""),
        tools=[_tool()],
    ),
    "a call without tools": _chat(
        _HI, _said("assistant", None, tool_calls=[_call("call_1")]), _result("call_1"), _said("user", "And?")
    ),
    "a result in parts": _chat(
        _HI,
        _said("assistant", "Looking.", tool_calls=[_call("call_1")]),
        _result("call_1", [_text("18"), _text("degrees")]),
        tools=[_tool()],
    ),
    "a result that is an object": _chat(
        _HI,
        _said("assistant", None, tool_calls=[_call("call_1")]),
        _result("call_1", '{"degrees":18}'),
        tools=[_tool()],
    ),
    "long ids": _chat(_HI, _said("assistant", None, tool_calls=[_call(LONG_ID)]), _result(LONG_ID), tools=[_tool()]),
    "ids with dots": _chat(
        _HI, _said("assistant", None, tool_calls=[_call("functions.f:0")]), _result("functions.f:0"), tools=[_tool()]
    ),
    "names with dots": _chat(
        _HI,
        _said("assistant", None, tool_calls=[_call("call_1", "weather.get")]),
        _result("call_1"),
        tools=[_tool("weather.get")],
        tool_choice={"type": "function", "function": {"name": "weather.get"}},
    ),
    "images mixed with texts": _chat(
        _said("user", [_text("One"), _IMAGE, _text("two"), _LINK, _text("Compare.")]), max_completion_tokens=64
    ),
    "data mixed with texts": _chat(_said("user", [_text("One"), _IMAGE, _text("two"), _IMAGE, _text("Compare.")])),
    "a file without a name": _chat(
        _said("user", [{"type": "file", "file": {"file_data": f"data:application/pdf;base64,{PDF}"}}, _text("Sum up.")])
    ),
    "sound": _chat(_said("user", [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}}])),
    "several systems": _chat(
        _said("system", "One."),
        _said("system", [_text("Two."), _text("Three.")]),
        _said("developer", "Four."),
        _HI,
    ),
    "systems in between": _chat(
        _said("system", "One."), _HI, _said("assistant", "Hello."), _said("user", "Go on"), _said("system", "Two.")
    ),
    "neighbours of one role": _chat(
        _said("user", "One"), _said("user", "Two"), _said("assistant", "Three"), _said("assistant", "Four"), _HI
    ),
    "the assistant first": _chat(_said("assistant", "Welcome."), _HI),
    "the assistant last": _chat(_HI, _said("assistant", "Well,")),
    "names of speakers": _chat(_said("user", "Hi", name="Ada"), _said("user", "Ho", name="Bob")),
    "one stop": _chat(_HI, stop="END", max_tokens=10),
    "many stops": _chat(_HI, stop=["A", "B", "C", "D"], max_tokens=10),
    "a seed and penalties": _chat(_HI, seed=7, presence_penalty=0.5, frequency_penalty=-0.5),
    "two answers": _chat(_HI, n=2),
    "log probabilities": _chat(_HI, logprobs=True, top_logprobs=2),
    "a bias": _chat(_HI, logit_bias={"50256": -100}),
    "a user": _chat(_HI, user="ada"),
    "a user with a mail address": _chat(_HI, user="ada@example.com"),
    "hot": _chat(_HI, temperature=1.7),
    "a temperature of zero": _chat(_HI, temperature=0),
    "top_p alone": _chat(_HI, top_p=0.9),
    "a tier": _chat(_HI, service_tier="flex"),
    "a limit by its new name": _chat(_HI, max_completion_tokens=77),
    "schema without strict": _chat(
        _HI, response_format={"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON}}
    ),
    "strict schema beside tools": _chat(
        _HI,
        tools=[_tool()],
        response_format={"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON, "strict": True}},
    ),
    "a format of text": _chat(_HI, response_format={"type": "text"}),
    "choice auto": _chat(_HI, tools=[_tool()], tool_choice="auto"),
    "choice none": _chat(_HI, tools=[_tool()], tool_choice="none"),
    "choice required": _chat(_HI, tools=[_tool()], tool_choice="required"),
    "choice named": _chat(_HI, tools=[_tool()], tool_choice={"type": "function", "function": {"name": "get_weather"}}),
    "required, one at a time": _chat(_HI, tools=[_tool()], tool_choice="required", parallel_tool_calls=False),
    "calls side by side": _chat(_HI, tools=[_tool()], parallel_tool_calls=True),
    "strict tool": _chat(_HI, tools=[_tool(schema={**_CITY, "additionalProperties": False}, strict=True)]),
    "schema with many words": _chat(_HI, tools=[_tool(schema=_NESTED)]),
    "a tool without parameters": _chat(_HI, tools=[{"type": "function", "function": {"name": "now"}}]),
    "a tool with an empty description": _chat(
        _HI, tools=[{"type": "function", "function": {"name": "now", "description": "", "parameters": _CITY}}]
    ),
    **{
        f"effort {effort}": _chat(_HI, reasoning_effort=effort, max_tokens=20000)
        for effort in ("none", "minimal", "low", "medium", "high", "xhigh")
    },
    "effort without a limit": _chat(_HI, reasoning_effort="high"),
    "effort under a small limit": _chat(_HI, reasoning_effort="high", max_tokens=500),
    "effort beside sampling": _chat(_HI, reasoning_effort="low", temperature=0.2, max_tokens=8000),
    "effort beside a forced tool": _chat(
        _HI, reasoning_effort="low", tools=[_tool()], tool_choice="required", max_tokens=8000
    ),
    "cache marks": _chat(
        _said("system", [_text("Long.", cache_control={"type": "ephemeral", "ttl": "1h"})]),
        _said("user", [_text("Long too.", cache_control={"type": "ephemeral"}), _text("Question")]),
        _said("assistant", [_text("Answer.", cache_control={"type": "ephemeral"})]),
        _said("user", "Next"),
    ),
    "surrogates and signs": _chat(_said("user", "\U0001f600 \u2028 \"'\\ \u0000 é")),
}

_WEATHER = {"name": "get_weather", "description": "The weather of a city.", "input_schema": _CITY}


def _messages(*messages: Body, **more: Any) -> Body:
    return {"model": "golden-model", "max_tokens": 100, "messages": list(messages), **more}


def _use(identity: str) -> Body:
    return {"type": "tool_use", "id": identity, "name": "get_weather", "input": {"city": "Paris"}}


def _gave(identity: str, content: Any, **more: Any) -> Body:
    return {"type": "tool_result", "tool_use_id": identity, "content": content, **more}


_PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}

# Of Anthropic's Messages.
MESSAGES: dict[str, Body] = {
    "a system of blocks": _messages(_HI, system=[_text("One."), _text("Two.", cache_control={"type": "ephemeral"})]),
    "blocks": _messages(_said("user", [_text("One"), _text("Two")])),
    "pictures": _messages(
        _said("user", [_PICTURE, {"type": "image", "source": {"type": "url", "url": "https://example.com/cat.png"}}])
    ),
    "results and words": _messages(
        _HI,
        _said("assistant", [_text("Looking."), _use("toolu_1"), _use("toolu_2")]),
        _said("user", [_gave("toolu_1", "18"), _gave("toolu_2", [_text("19")], is_error=True), _text("And?")]),
        tools=[_WEATHER],
    ),
    "a picture in a result": _messages(
        _HI,
        _said("assistant", [_use("toolu_1")]),
        _said("user", [_gave("toolu_1", [_text("Here."), _PICTURE])]),
        tools=[_WEATHER],
    ),
    "a result without content": _messages(
        _HI,
        _said("assistant", [_use("toolu_1")]),
        _said("user", [{"type": "tool_result", "tool_use_id": "toolu_1"}]),
        tools=[_WEATHER],
    ),
    "choice auto": _messages(_HI, tools=[_WEATHER], tool_choice={"type": "auto"}),
    "choice any": _messages(_HI, tools=[_WEATHER], tool_choice={"type": "any"}),
    "choice tool": _messages(_HI, tools=[_WEATHER], tool_choice={"type": "tool", "name": "get_weather"}),
    "choice none": _messages(_HI, tools=[_WEATHER], tool_choice={"type": "none"}),
    "one at a time": _messages(_HI, tools=[_WEATHER], tool_choice={"type": "auto", "disable_parallel_tool_use": True}),
    "sampling": _messages(_HI, temperature=0.5, top_p=0.9, top_k=40, stop_sequences=["END"]),
    "a user": _messages(_HI, metadata={"user_id": "ada"}),
    "a budget": _messages(_HI, thinking={"type": "enabled", "budget_tokens": 2048}) | {"max_tokens": 8000},
    "adaptive": _messages(_HI, thinking={"type": "adaptive"}, output_config={"effort": "high"}),
    "no thinking": _messages(_HI, thinking={"type": "disabled"}),
    "a schema": _messages(_HI, output_config={"format": {"type": "json_schema", "schema": PERSON}}),
    "thinking of earlier turns": _messages(
        _HI,
        _said(
            "assistant",
            [{"type": "thinking", "thinking": "Hm.", "signature": "c2lnbmF0dXJl"}, _text("Hello.")],
        ),
        _said("user", "Next"),
    ),
    "a document": _messages(
        _said(
            "user",
            [
                {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}},
                _text("Sum up."),
            ],
        )
    ),
    "a stream": _messages(_HI, stream=True),
}


def _claude(*content: Body, reason: str, **more: Any) -> Body:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "golden-model",
        "content": list(content),
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": {"input_tokens": 12, "output_tokens": 5},
        **more,
    }


def _converse(*content: Body, reason: str) -> Body:
    return {
        "output": {"message": {"role": "assistant", "content": list(content)}},
        "stopReason": reason,
        "usage": {"inputTokens": 12, "outputTokens": 5, "totalTokens": 17},
        "metrics": {"latencyMs": 1},
    }


def _gemini(*parts: Body, reason: str, **usage: int) -> Body:
    return {
        "candidates": [{"content": {"role": "model", "parts": list(parts)}, "finishReason": reason, "index": 0}],
        "usageMetadata": {"promptTokenCount": 12, "candidatesTokenCount": 5, "totalTokenCount": 17, **usage},
        "modelVersion": "golden-model",
        "responseId": "r1",
    }


def _oracle(reason: str, **message: Any) -> Body:
    said = {"role": "ASSISTANT", "content": [{"type": "TEXT", "text": "Hi."}], **message}
    answer = {
        "apiFormat": "GENERIC",
        "timeCreated": "2026-01-01T00:00:00Z",
        "choices": [{"index": 0, "message": said, "finishReason": reason}],
        "usage": {"promptTokens": 12, "completionTokens": 5, "totalTokens": 17},
    }
    return {"modelId": "meta.llama-3.3-70b-instruct", "modelVersion": "1", "chatResponse": answer}


_OF_CLAUDE = ("pause_turn", "stop_sequence", "model_context_window_exceeded", "refusal", "a_new_one")
_OF_CONVERSE = (
    *("stop_sequence", "guardrail_intervened", "content_filtered", "model_context_window_exceeded"),
    *("malformed_model_output", "malformed_tool_use"),
)
_OF_GEMINI = (
    *("MAX_TOKENS", "SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "OTHER"),
    *("MALFORMED_FUNCTION_CALL", "IMAGE_SAFETY", "UNEXPECTED_TOOL_CALL", "MALFORMED_RESPONSE"),
)
_CALL_OF_GEMINI = {"functionCall": {"name": "get_weather", "args": {"city": "Paris"}}}
_INPUT = {"city": "Paris"}

# Of providers, by the target that they come from.
ANSWERS: dict[str, dict[str, Body]] = {
    "anthropic": {
        **{f"ended by {reason}": _claude(_text("Hi."), reason=reason) for reason in _OF_CLAUDE},
        "nothing said": _claude(reason="end_turn"),
        "texts round a call": _claude(
            _text("One."),
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}},
            _text("Two."),
            reason="tool_use",
        ),
        "cached": _claude(
            _text("Hi."),
            reason="end_turn",
            usage={
                "input_tokens": 3,
                "cache_read_input_tokens": 20,
                "cache_creation_input_tokens": 10,
                "output_tokens": 5,
            },
        ),
    },
    "converse": {
        **{f"ended by {reason}": _converse({"text": "Hi."}, reason=reason) for reason in _OF_CONVERSE},
        "nothing said": _converse(reason="end_turn"),
        "texts round a call": _converse(
            {"text": "One."},
            {"toolUse": {"toolUseId": "t1", "name": "f", "input": _INPUT}},
            {"text": "Two."},
            reason="tool_use",
        ),
    },
    "gemini": {
        **{f"ended by {reason}": _gemini({"text": "Hi."}, reason=reason) for reason in _OF_GEMINI},
        "two calls": _gemini(_CALL_OF_GEMINI, _CALL_OF_GEMINI, reason="STOP"),
        "a thought": _gemini(
            {"text": "Hm.", "thought": True}, {"text": "Hi."}, reason="STOP", thoughtsTokenCount=7, totalTokenCount=24
        ),
        "cached": _gemini({"text": "Hi."}, reason="STOP", cachedContentTokenCount=10),
        "blocked": {
            "promptFeedback": {"blockReason": "SAFETY"},
            "usageMetadata": {"promptTokenCount": 12, "totalTokenCount": 12},
            "responseId": "r1",
            "modelVersion": "golden-model",
        },
    },
    "oracle": {
        **{f"ended by {reason}": _oracle(reason) for reason in ("stop", "length", "content_filter", "complete")},
        "a call": _oracle(
            "tool_calls",
            content=None,
            toolCalls=[{"type": "FUNCTION", "id": "c1", "name": "f", "arguments": '{"city":"Paris"}'}],
        ),
    },
}
