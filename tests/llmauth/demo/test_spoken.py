"""What a model makes of a wish: when it calls tools and how many, what it thinks, and what a limit leaves of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmauth.demo.behaviour import ORDINARY, Behaviour
from llmauth.demo.emulator import Call
from llmauth.demo.http1 import Request, parse_head
from llmauth.demo.spoken import THOUGHT, Spoken, Tool, Wish, speak

HEAD = parse_head(b"POST /x HTTP/1.1\r\nHost: h\r\n\r\n")
CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS = (Tool(name="weather", schema=CITY), Tool(name="time"))
TWO = Behaviour(call_tool=True, calls=2)


def said(behaviour: Behaviour = ORDINARY, **wish: Any) -> Spoken:
    return speak(Call("h", Request(HEAD, b"{}"), behaviour, 5), Wish(**wish), "X")


@pytest.mark.parametrize(
    ("behaviour", "wish", "names"),
    [
        (ORDINARY, {}, []),
        (Behaviour(call_tool=True), {}, ["weather"]),
        (Behaviour(call_tool=True), {"may_call": False}, []),
        (Behaviour(call_tool=True), {"tools": ()}, []),
        (ORDINARY, {"must_call": True}, ["weather"]),
        (ORDINARY, {"named": "time"}, ["time"]),
        (ORDINARY, {"named": "unheard"}, []),
        (TWO, {}, ["weather", "time"]),
        (TWO, {"parallel": False}, ["weather"]),
        (TWO, {"named": "time"}, ["time", "time"]),
    ],
)
def test_which_tools_are_called(behaviour: Behaviour, wish: dict[str, Any], names: list[str]) -> None:
    spoken = said(behaviour, **{"tools": TOOLS, **wish})
    assert [use.name for use in spoken.uses] == names
    assert (spoken.text == "") == bool(names)


def test_each_call_has_its_own_arguments() -> None:
    uses = said(Behaviour(call_tool=True, calls=3), tools=TOOLS[:1]).uses
    assert [use.arguments for use in uses] == [{"city": "example"}, {"city": "example 2"}, {"city": "example 3"}]
    assert ["".join(use.pieces) for use in uses] == [use.written for use in uses]


@pytest.mark.parametrize(
    ("limit", "thought", "count", "cut"),
    [
        (None, THOUGHT, 5, False),
        (THOUGHT + 9, THOUGHT, 5, False),
        (THOUGHT + 3, THOUGHT, 3, True),
        (THOUGHT - 2, THOUGHT - 2, 0, True),
    ],
)
def test_thoughts_count_against_the_limit(limit: int | None, thought: int, count: int, cut: bool) -> None:
    spoken = said(thinks=True, limit=limit)
    assert (len(spoken.thought), len(spoken.tokens), spoken.cut) == (thought, count, cut)
    assert spoken.count == thought + count
    assert spoken.thinking == "".join(spoken.thought)


def test_a_schema_is_answered_in_json() -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}}
    spoken = said(schema=schema)
    assert json.loads(spoken.text) == {"name": "example", "age": 1}
    assert (spoken.count, spoken.cut) == (len(spoken.tokens), False)
    short = said(schema=schema, limit=2)
    assert (short.cut, spoken.text.startswith(short.text)) == (True, True)
