"""The table, as it is seen at the widths that terminals have."""

from __future__ import annotations

import io
from typing import Literal

import pytest
from rich.console import Console

from llmauth.demo.walk.table import table
from tests.llmauth.demo.walk.samples import outcome, refused, widest


def seen(outcomes: list, width: int, *, terminal: bool = False) -> str:
    colours: Literal["standard", "auto"] = "standard" if terminal else "auto"
    console = Console(file=io.StringIO(), width=width, force_terminal=terminal, color_system=colours)
    console.print(table(outcomes, width))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(("width", "lines"), [(80, 2), (100, 2), (119, 2), (120, 1), (159, 1), (160, 1), (240, 1)])
def test_fits_every_width_and_breaks_no_cell(width: int, lines: int) -> None:
    """Two head lines, a rule, a line between the groups, and each call on as many lines as are meant."""
    rows = seen(widest(), width).rstrip("\n").split("\n")
    assert max(map(len, rows)) <= width
    assert len(rows) == 3 + 2 + lines * len(widest())


@pytest.mark.parametrize("width", [80, 120, 160])
def test_tells_all_that_was_promised_of_a_call(width: int) -> None:
    text = seen([outcome()], width)
    for told in ("alice", "OpenAI chat", "sk-placeholder", "Bearer sk-demo-…Ab12", "200", "0.40 ms"):
        assert told in text


def test_a_wide_one_tells_who_paid_and_how_long_it_took() -> None:
    text = seen([outcome()], 160)
    assert "paid by" in text
    assert "12.3 ms" in text


def test_colours_are_for_terminals() -> None:
    assert "\x1b[" not in seen([outcome(), refused()], 120)
    assert "\x1b[1;31m   407" in seen([refused(problems=("wrong",))], 120, terminal=True)
    assert "\x1b[33m   407" in seen([refused()], 120, terminal=True)
