"""OpenAI's Chat Completions as they are answered: whole, and as a stream of chunks."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

from llmauth.demo import sse, words
from llmauth.demo.emulator import PAUSE, Call
from llmauth.demo.openai_shapes import is_reasoning
from llmauth.demo.prompt_cache import Block
from llmauth.demo.spoken import Spoken, Tool, Use, Wish, speak

_SPEAKER = "OpenAI"
DONE = sse.data(b"[DONE]")


def wish(call: Call, body: dict[str, Any]) -> Wish:
    """What of a request decides the answer; the model's thoughts are counted, and never told."""
    choice = body.get("tool_choice")
    tools = [one["function"] for one in body.get("tools") or () if one["type"] == "function"]
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        allowed = {one["function"]["name"] for one in choice["allowed_tools"]["tools"]}
        tools = [tool for tool in tools if tool["name"] in allowed]
        choice = choice["allowed_tools"]["mode"]
    limit: int | None = body.get("max_completion_tokens") or body.get("max_tokens")
    return Wish(
        tools=[Tool(name=tool["name"], schema=tool.get("parameters")) for tool in tools],
        must_call=choice == "required",
        may_call=choice != "none",
        named=(choice.get("function") or {}).get("name") if isinstance(choice, dict) else None,
        parallel=body.get("parallel_tool_calls") is not False,
        limit=limit,
        thinks=call.behaviour.think and _may_think(body),
        schema=schema(body.get("response_format")),
    )


def _may_think(body: dict[str, Any]) -> bool:
    effort = body.get("reasoning_effort")
    return effort != "none" and (effort is not None or is_reasoning(body.get("model") or ""))


def schema(output: dict[str, Any] | None) -> dict[str, Any] | None:
    """The schema that a `response_format` asks for."""
    found: dict[str, Any] | None = ((output or {}).get("json_schema") or {}).get("schema")
    return found


def reason(spoken: Spoken) -> str:
    """OpenAI's word for how an answer ends."""
    return "tool_calls" if spoken.uses else "length" if spoken.cut else "stop"


def usage(call: Call, body: dict[str, Any], spoken: Spoken) -> dict[str, Any]:
    """The bill; cached tokens count inside `prompt_tokens`, thoughts inside `completion_tokens`."""
    prompt, choices = words.estimate(call.request.body), body.get("n") or 1
    return {
        "prompt_tokens": prompt,
        "completion_tokens": spoken.count * choices,
        "total_tokens": prompt + spoken.count * choices,
        "prompt_tokens_details": {"cached_tokens": min(prompt, _cached(call, body)), "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": len(spoken.thought) * choices,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _cached(call: Call, body: dict[str, Any]) -> int:
    """Nothing without a key: the real one finds long prompts by themselves, which no test could count on."""
    key = body.get("prompt_cache_key")
    if key is None:
        return 0
    blocks = [Block(body.get("tools")), *(Block(message) for message in body["messages"])]
    return call.prompts.by_key(f"{call.host} {body['model']} {key}", blocks)


def completion(call: Call, body: dict[str, Any], created: int) -> dict[str, Any]:
    """The whole answer."""
    spoken = speak(call, wish(call, body), _SPEAKER)
    return {
        "id": f"chatcmpl-{secrets.token_hex(14)}",
        "object": "chat.completion",
        "created": created,
        "model": body["model"],
        "choices": [
            {"index": index, "message": _message(spoken), "logprobs": None, "finish_reason": reason(spoken)}
            for index in range(body.get("n") or 1)
        ],
        "usage": usage(call, body, spoken),
        "service_tier": "default",
        "system_fingerprint": "fp_emulated",
    }


def _message(spoken: Spoken) -> dict[str, Any]:
    if not spoken.uses:
        return {"role": "assistant", "content": spoken.text, "refusal": None, "annotations": []}
    calls = [
        {"id": call_id(), "type": "function", "function": {"name": use.name, "arguments": use.written}}
        for use in spoken.uses
    ]
    return {"role": "assistant", "content": None, "refusal": None, "tool_calls": calls}


def call_id() -> str:
    """The id of a call, another each time."""
    return f"call_{secrets.token_hex(12)}"


def chunks(call: Call, body: dict[str, Any], created: int, error: bytes) -> Iterator[bytes]:
    """The answer as server-sent events; `error` is what a stream that fails says instead of going on."""
    spoken = speak(call, wish(call, body), _SPEAKER)
    bill = usage(call, body, spoken)
    frame = {
        "id": f"chatcmpl-{secrets.token_hex(14)}",
        "object": "chat.completion.chunk",
        "created": created,
        "model": body["model"],
        "service_tier": "default",
        "system_fingerprint": "fp_emulated",
    }
    billed = bool((body.get("stream_options") or {}).get("include_usage"))
    ending: dict[str, Any] = {"usage": None} if billed else {}
    for index in range(body.get("n") or 1):
        deltas = _calls(spoken, frame, ending, index) if spoken.uses else _text(spoken, frame, ending, index)
        for position, event in enumerate(deltas):
            if call.fails_at(position):
                yield sse.data(error)
                return
            yield event
            yield PAUSE
        yield _chunk(frame, ending, index, {}, reason(spoken))
    if billed:
        yield sse.data(words.dumps({**frame, "choices": [], "usage": bill}))
    yield DONE


def _chunk(
    frame: dict[str, Any], ending: dict[str, Any], index: int, delta: dict[str, Any], reason: str | None = None
) -> bytes:
    return sse.data(words.dumps({**frame, "choices": [_choice(index, delta, reason)], **ending}))


def _choice(index: int, delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}


def _text(spoken: Spoken, frame: dict[str, Any], ending: dict[str, Any], index: int) -> Iterator[bytes]:
    first = {"role": "assistant", "content": "", "refusal": None}
    opening = _chunk(frame, ending, index, first)
    template = words.Template({**frame, "choices": [_choice(index, {"content": words.Template.HOLE})], **ending})
    for token in spoken.tokens:
        yield opening + sse.data(template.fill(token))
        opening = b""
    if opening:
        yield opening


def _calls(spoken: Spoken, frame: dict[str, Any], ending: dict[str, Any], index: int) -> Iterator[bytes]:
    """One call after the other; the role comes with the first."""
    opening: dict[str, Any] = {"role": "assistant", "content": None}
    for position, use in enumerate(spoken.uses):
        yield _chunk(frame, ending, index, {**opening, "tool_calls": [_begun(position, use)]})
        opening = {}
        for piece in use.pieces:
            delta = {"tool_calls": [{"index": position, "function": {"arguments": piece}}]}
            yield _chunk(frame, ending, index, delta)


def _begun(position: int, use: Use) -> dict[str, Any]:
    function = {"name": use.name, "arguments": ""}
    return {"index": position, "id": call_id(), "type": "function", "function": function}
