"""The tables of the calls, in the shape that the width of the terminal allows."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from llmauth.demo.walk import wording
from llmauth.demo.walk.evidence import Outcome

SIDE_BY_SIDE = 100  # columns from which caller and provider stand beside each other, on two lines a call
ONE_LINE = 160
ROOMY = 185


def transparent(outcomes: Sequence[Outcome], width: int) -> Table:
    """The calls that are passed as they are."""
    if width < SIDE_BY_SIDE:
        return _narrow(outcomes)
    if width < ONE_LINE:
        return _side_by_side(outcomes)
    return _flat(outcomes, roomy=width >= ROOMY)


def spoken(outcomes: Sequence[Outcome], width: int) -> Table:
    """The calls of protocol mode: what was spoken, and what it was answered in, on three lines a call."""
    paid = width >= SIDE_BY_SIDE
    titles = "spoken → answered in", "called → provider received at", "client held → provider received"
    made = _empty("caller", "\n".join(titles), *(["paid by"] if paid else []))
    _numbers(made)
    for outcome in outcomes:
        arrow = (" → ", "dim")
        received = () if outcome.step.ours else (arrow, wording.path(outcome))
        told = Text.assemble(
            *(wording.call(outcome), arrow, (wording.answered_in(outcome), "bold"), "\n"),
            *((wording.door(outcome), "cyan"), *received, "\n"),
            *((wording.held(outcome), "yellow"), arrow, _received(outcome, short=True)),
        )
        payer = [wording.paid_by(outcome)] if paid else []
        made.add_row(_caller(outcome), told, *payer, *_measures(outcome))
    return made


def _narrow(outcomes: Sequence[Outcome]) -> Table:
    made = _empty("caller", "call; client held → provider received")
    _numbers(made)
    for outcome, last in _with_ends(outcomes):
        call = Text.assemble(
            f"{wording.call(outcome)}, via {wording.way(outcome)}\n",
            (wording.held(outcome), "yellow"),
            (" → ", "dim"),
            _received(outcome, short=True),
        )
        made.add_row(_caller(outcome), call, *_measures(outcome), end_section=last)
    return made


def _side_by_side(outcomes: Sequence[Outcome]) -> Table:
    made = _empty("caller", "call\nclient held", "provider received\nwith", "paid by", gap=1)
    _numbers(made)
    for outcome, last in _with_ends(outcomes):
        held = (wording.held(outcome), "yellow")
        call = Text.assemble(wording.call(outcome), "\n", held, (f", {wording.way(outcome)}", "dim"))
        received = Text.assemble(wording.path(outcome), "\n", _received(outcome, short=True))
        if outcome.received is None:
            received = Text.assemble(_received(outcome), "\n")
        payer = wording.paid_by(outcome)
        made.add_row(_caller(outcome), call, received, payer, *_measures(outcome), end_section=last)
    return made


def _flat(outcomes: Sequence[Outcome], *, roomy: bool) -> Table:
    made = _empty("caller", "call", "via", "client held", "provider received", "with", "paid by")
    _numbers(made, total=roomy)
    for outcome, last in _with_ends(outcomes):
        made.add_row(
            _caller(outcome),
            wording.call(outcome),
            wording.way(outcome),
            Text(wording.held(outcome, whole=roomy), "yellow"),
            wording.path(outcome),
            Text.assemble(_received(outcome, short=True)),
            wording.paid_by(outcome),
            *_measures(outcome, total=roomy),
            end_section=last,
        )
    return made


def _empty(*titles: str, gap: int = 2) -> Table:
    """A table with these columns; one blank of the gap between any two is the box's own."""
    padding = (0, gap - 1, 0, 0)
    made = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=padding, header_style="bold")
    for title in titles:
        made.add_column(title, overflow="fold")
    return made


def _numbers(made: Table, *, total: bool = False) -> None:
    titles = ("HTTP", "first\ntoken", *(["whole\nanswer"] if total else []), "our\noverhead")
    for title in titles:
        made.add_column(title, justify="right", no_wrap=True)


def _caller(outcome: Outcome) -> Text:
    return Text(outcome.shell.caller, "bold")


def _measures(outcome: Outcome, *, total: bool = False) -> list[Text | str]:
    style = "bold red" if outcome.problems else "yellow" if outcome.refused else "green"
    whole = [wording.milliseconds(outcome.report.total_ms)] if total else []
    first = wording.milliseconds(outcome.report.first_token_ms)
    return [Text(wording.status(outcome), style), first, *whole, wording.milliseconds(wording.overhead(outcome))]


def _received(outcome: Outcome, *, short: bool = False) -> tuple[str, str]:
    return wording.received(outcome, short=short), _colour(outcome)


def _colour(outcome: Outcome) -> str:
    if outcome.received is None:
        return "dim"
    return "green" if outcome.received.real and not outcome.refused else "bold red"


def _with_ends(outcomes: Sequence[Outcome]) -> list[tuple[Outcome, bool]]:
    """Each outcome, and whether a line is drawn below it: between the users, and before those who are refused."""
    keys = [outcome.shell.caller if len(outcome.shell.steps) > 2 else "" for outcome in outcomes]
    return [(outcome, here != after) for outcome, here, after in zip(outcomes, keys, [*keys[1:], ""], strict=True)]
