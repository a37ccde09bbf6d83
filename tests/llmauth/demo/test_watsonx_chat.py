"""What watsonx says to a request, whole and in pieces."""

from __future__ import annotations

from typing import Any

import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulator import Call
from llmauth.demo.http1 import Request, parse_head
from llmauth.demo.watsonx_chat import deltas, message, speak, usage

HEAD = parse_head(b"POST /x HTTP/1.1\r\nHost: h\r\n\r\n")
TOOLS = [{"type": "function", "function": {"name": "f"}}]


@pytest.mark.parametrize("body", [{}, {"reasoning_effort": "low"}, {"tools": TOOLS, "reasoning_effort": "high"}])
def test_the_pieces_make_the_message(body: dict[str, Any]) -> None:
    call = Call("h", Request(HEAD, b"{}"), Behaviour(call_tool=True, calls=2, think=True), 5)
    said = speak(call, {"messages": [], **body})
    told, pieces = message(said), list(deltas(said))
    for name in ("content", "reasoning_content"):
        assert "".join(piece.get(name, "") for piece in pieces) == told.get(name, "")
    calls = [one for piece in pieces for one in piece.get("tool_calls", ())]
    assert (
        len([one for one in calls if "id" in one]) == len(told.get("tool_calls", ())) == (2 if "tools" in body else 0)
    )
    assert [piece.get("role") for piece in pieces] == ["assistant"] + [None] * (len(pieces) - 1)
    bill = usage(call, said)
    assert bill["total_tokens"] == bill["prompt_tokens"] + bill["completion_tokens"]
