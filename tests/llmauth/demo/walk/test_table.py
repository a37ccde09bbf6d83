"""The table, as it is seen at the widths that terminals have."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, Literal

import pytest
from rich.console import Console
from rich.table import Table

from llmauth.demo.walk import table
from tests.llmauth.demo.walk import samples
from tests.llmauth.demo.walk.samples import outcome, refused

Shape = Callable[[Any, int], Table]


def seen(outcomes: list, width: int, shape: Shape = table.transparent, *, terminal: bool = False) -> str:
    colours: Literal["standard", "auto"] = "standard" if terminal else "auto"
    console = Console(file=io.StringIO(), width=width, force_terminal=terminal, color_system=colours)
    console.print(shape(outcomes, width))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("width", "lines"), [(80, 2), (99, 2), (100, 2), (159, 2), (160, 1), (184, 1), (185, 1), (240, 1)]
)
def test_fits_every_width_and_breaks_no_cell(width: int, lines: int) -> None:
    """Two head lines, a rule, a line between the groups, and each call on as many lines as are meant."""
    rows = seen(samples.transparent(), width).rstrip("\n").split("\n")
    assert max(map(len, rows)) <= width
    assert len(rows) == 3 + 2 + lines * len(samples.transparent())


@pytest.mark.parametrize("width", [80, 99, 100, 240])
def test_calls_of_protocol_mode_fit_too(width: int) -> None:
    """Three head lines, a rule, and three lines a call."""
    rows = seen(samples.spoken(), width, table.spoken).rstrip("\n").split("\n")
    assert max(map(len, rows)) <= width
    assert len(rows) == 3 + 1 + 3 * len(samples.spoken())


@pytest.mark.parametrize("width", [80, 100])
def test_tells_what_was_spoken_and_what_it_was_answered_in(width: int) -> None:
    text = seen(samples.spoken(), width, table.spoken)
    for told in (
        "OpenAI chat → Bedrock Converse",
        "eu.api.openai.com/v1, gpt-4o-mini → …/converse",
        "OpenAI responses → Vertex generateContent",
        "/v1, fast → …/gemini-2.5-flash:generateContent",
        "Anthropic messages, streamed → OpenAI chat",
        "/anthropic/openai → /v1/chat/completions",
        "sk-placeholder → SigV4 ASIA… us-east-1",
        "OpenAI models → the proxy itself",
    ):
        assert told in text
    assert ("paid by" in text) is (width == 100)


@pytest.mark.parametrize("width", [80, 120, 160])
def test_tells_all_that_was_promised_of_a_call(width: int) -> None:
    text = seen([outcome()], width)
    for told in ("alice", "OpenAI chat", "sk-placeholder", "Bearer sk-demo-…Ab12", "200", "0.40 ms"):
        assert told in text


@pytest.mark.parametrize("width", [100, 160])
def test_tells_where_it_was_received_and_who_paid(width: int) -> None:
    text = seen(samples.transparent(), width)
    for told in ("paid by", "bedrock_us1", "…/invoke-with-response-stream"):
        assert told in text


def test_a_wide_one_tells_how_long_it_took() -> None:
    assert "12.3 ms" in seen([outcome()], 185)


def test_a_refusal_tells_why_where_a_provider_would_stand() -> None:
    assert "nothing (invalid_api_key)" in seen([refused()], 100)


def test_colours_are_for_terminals() -> None:
    assert "\x1b[" not in seen([outcome(), refused()], 120)
    assert "\x1b[1;31m 407" in seen([refused(problems=("wrong",))], 120, terminal=True)
    assert "\x1b[33m 407" in seen([refused()], 120, terminal=True)
