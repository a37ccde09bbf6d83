"""OpenAI's Chat Completions as they are answered: whole, and as a stream of chunks."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from llmauth.demo import sse, words
from llmauth.demo.emulator import PAUSE, Call

_SPEAKER = "OpenAI"
DONE = sse.data(b"[DONE]")


@dataclass(frozen=True, slots=True)
class Spoken:
    """What the model says to one request: text, or the call of a tool."""

    count: int
    reason: str
    tool: str | None = None
    arguments: str = ""
    speaker: str = _SPEAKER

    @property
    def text(self) -> str:
        """The text, whole."""
        return words.text(self.speaker, self.count)

    @property
    def tokens(self) -> tuple[str, ...]:
        """The text, token by token."""
        return words.tokens(self.speaker, self.count)


def speak(call: Call, body: dict[str, Any], speaker: str = _SPEAKER) -> Spoken:
    """Decide what is said: a tool is called when the request forces one, or the behaviour asks for it."""
    tool = _forced_tool(call, body)
    if tool is not None:
        arguments = words.dumps(words.example(tool["function"].get("parameters"))).decode()
        return Spoken(max(1, len(arguments) // 4), "tool_calls", tool["function"]["name"], arguments, speaker)
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    count = call.tokens(limit)
    return Spoken(count, "length" if limit is not None and count >= limit else "stop", speaker=speaker)


def _forced_tool(call: Call, body: dict[str, Any]) -> dict[str, Any] | None:
    tools = [tool for tool in body.get("tools") or () if tool["type"] == "function"]
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        wanted = choice.get("function", {}).get("name")
        return next((tool for tool in tools if tool["function"]["name"] == wanted), None)
    return tools[0] if tools and (choice == "required" or call.behaviour.call_tool) else None


def usage(call: Call, said: int) -> dict[str, Any]:
    """The bill; cached tokens count inside `prompt_tokens`."""
    prompt = words.estimate(call.request.body)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": said,
        "total_tokens": prompt + said,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def completion(call: Call, body: dict[str, Any], created: int) -> dict[str, Any]:
    """The whole answer."""
    spoken = speak(call, body)
    choices = body.get("n") or 1
    return {
        "id": f"chatcmpl-{secrets.token_hex(14)}",
        "object": "chat.completion",
        "created": created,
        "model": body["model"],
        "choices": [
            {"index": index, "message": _message(spoken), "logprobs": None, "finish_reason": spoken.reason}
            for index in range(choices)
        ],
        "usage": usage(call, spoken.count * choices),
        "service_tier": "default",
        "system_fingerprint": "fp_emulated",
    }


def _message(spoken: Spoken) -> dict[str, Any]:
    if spoken.tool is None:
        return {"role": "assistant", "content": spoken.text, "refusal": None, "annotations": []}
    function = {"name": spoken.tool, "arguments": spoken.arguments}
    calls = [{"id": f"call_{secrets.token_hex(12)}", "type": "function", "function": function}]
    return {"role": "assistant", "content": None, "refusal": None, "tool_calls": calls}


def chunks(call: Call, body: dict[str, Any], created: int, error: bytes) -> Iterator[bytes]:
    """The answer as server-sent events; `error` is what a stream that fails says instead of going on."""
    spoken = speak(call, body)
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
        deltas = _text(spoken, frame, ending, index) if spoken.tool is None else _tool(spoken, frame, ending, index)
        for position, event in enumerate(deltas):
            if call.fails_at(position):
                yield sse.data(error)
                return
            yield event
            yield PAUSE
        yield _chunk(frame, ending, index, {}, spoken.reason)
    if billed:
        yield sse.data(words.dumps({**frame, "choices": [], "usage": usage(call, spoken.count * (body.get("n") or 1))}))
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
    for token in words.tokens(_SPEAKER, spoken.count):
        yield opening + sse.data(template.fill(token))
        opening = b""
    if opening:
        yield opening


def _tool(spoken: Spoken, frame: dict[str, Any], ending: dict[str, Any], index: int) -> Iterator[bytes]:
    function = {"name": spoken.tool, "arguments": ""}
    begun = {"index": 0, "id": f"call_{secrets.token_hex(12)}", "type": "function", "function": function}
    yield _chunk(frame, ending, index, {"role": "assistant", "content": None, "tool_calls": [begun]})
    for piece in words.pieces(spoken.arguments):
        yield _chunk(frame, ending, index, {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
