"""The table of the calls, in the shape that the width of the terminal allows."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from llmauth.demo.walk import wording
from llmauth.demo.walk.evidence import Outcome

ONE_LINE = 120
ROOMY = 160


def table(outcomes: Sequence[Outcome], width: int) -> Table:
    """One line a call where there is room for it, two lines where there is not."""
    if width < ONE_LINE:
        return _stacked(outcomes)
    return _flat(outcomes, roomy=width >= ROOMY)


def _flat(outcomes: Sequence[Outcome], *, roomy: bool) -> Table:
    made = _empty("caller", "call", "via", "client held", "provider received")
    if roomy:
        made.add_column("paid by")
    _numbers(made, total=roomy)
    for outcome, last in _with_ends(outcomes):
        cells: list[Text | str] = [
            Text(outcome.shell.caller, "bold"),
            wording.call(outcome),
            wording.way(outcome),
            Text(wording.held(outcome, whole=roomy), "yellow"),
            Text(wording.received(outcome), _colour(outcome)),
        ]
        if roomy:
            cells.append(wording.paid_by(outcome))
        made.add_row(*cells, *_measures(outcome, total=roomy), end_section=last)
    return made


def _stacked(outcomes: Sequence[Outcome]) -> Table:
    made = _empty("caller", "call; client held → provider received")
    _numbers(made, total=False)
    for outcome, last in _with_ends(outcomes):
        call = Text.assemble(
            f"{wording.call(outcome)}, via {wording.way(outcome)}\n",
            (wording.held(outcome), "yellow"),
            (" → ", "dim"),
            (wording.received(outcome, short=True), _colour(outcome)),
        )
        made.add_row(Text(outcome.shell.caller, "bold"), call, *_measures(outcome, total=False), end_section=last)
    return made


def _empty(*titles: str) -> Table:
    made = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for title in titles:
        made.add_column(title, overflow="fold")
    return made


def _numbers(made: Table, *, total: bool) -> None:
    titles = ("status", "first\ntoken", *(["whole\nanswer"] if total else []), "our\noverhead")
    for title in titles:
        made.add_column(title, justify="right", no_wrap=True)


def _measures(outcome: Outcome, *, total: bool) -> list[Text | str]:
    style = "bold red" if outcome.problems else "yellow" if outcome.refused else "green"
    whole = [wording.milliseconds(outcome.report.total_ms)] if total else []
    first = wording.milliseconds(outcome.report.first_token_ms)
    return [Text(wording.status(outcome), style), first, *whole, wording.milliseconds(wording.overhead(outcome))]


def _colour(outcome: Outcome) -> str:
    if outcome.received is None:
        return "dim"
    return "green" if outcome.received.real and not outcome.refused else "bold red"


def _with_ends(outcomes: Sequence[Outcome]) -> list[tuple[Outcome, bool]]:
    """Each outcome, and whether a line is drawn below it: between the users, and before those who are refused."""
    keys = [outcome.shell.caller if len(outcome.shell.steps) > 2 else "" for outcome in outcomes]
    return [(outcome, here != after) for outcome, here, after in zip(outcomes, keys, [*keys[1:], ""], strict=True)]
