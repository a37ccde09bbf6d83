"""The answers of watsonx's chat: OpenAI's, with thoughts that are told."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

from llmauth.demo import openai_chat, spoken, words
from llmauth.demo.emulator import Call
from llmauth.demo.spoken import Spoken

_SPEAKER = "watsonx"


def speak(call: Call, body: dict[str, Any]) -> Spoken:
    """What is said to a request; thoughts where they are not kept back."""
    shown = body.get("include_reasoning") is not False
    asked = {**body, "tool_choice": body.get("tool_choice") or body.get("tool_choice_option")}
    asked |= {} if shown else {"reasoning_effort": "none"}
    return spoken.speak(call, openai_chat.wish(call, asked), _SPEAKER)


def message(said: Spoken) -> dict[str, Any]:
    """The message of a whole answer."""
    thought = {"reasoning_content": said.thinking} if said.thought else {}
    if not said.uses:
        return {"role": "assistant", "content": said.text, **thought}
    calls = [
        {"id": _call_id(), "type": "function", "function": {"name": use.name, "arguments": use.written}}
        for use in said.uses
    ]
    return {"role": "assistant", "tool_calls": calls, **thought}


def _call_id() -> str:
    return f"chatcmpl-tool-{secrets.token_hex(16)}"


def deltas(said: Spoken) -> Iterator[dict[str, Any]]:
    """The same in pieces."""
    role: dict[str, Any] = {"role": "assistant"}
    if not said.uses:
        yield {**role, "content": ""}
        role = {}
    for thought in said.thought:
        yield {**role, "reasoning_content": thought}
        role = {}
    for token in said.tokens:
        yield {"content": token}
    for index, use in enumerate(said.uses):
        begun = {"index": index, "id": _call_id(), "type": "function", "function": {"name": use.name, "arguments": ""}}
        yield {**role, "tool_calls": [begun]}
        role = {}
        for piece in use.pieces:
            yield {"tool_calls": [{"index": index, "function": {"name": "", "arguments": piece}}]}


def usage(call: Call, said: Spoken) -> dict[str, Any]:
    """The bill; thoughts count among the tokens of the answer."""
    prompt = words.estimate(call.request.body)
    told = {"completion_tokens": said.count, "prompt_tokens": prompt, "total_tokens": prompt + said.count}
    details = {"completion_tokens_details": {"reasoning_tokens": len(said.thought)}} if said.thought else {}
    return {**told, **details}
