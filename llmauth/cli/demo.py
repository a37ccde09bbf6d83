"""`llmauth demo`: the whole of it on loopback, with emulated providers and the official SDKs."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Annotated

import typer
from rich.console import Console

from llmauth.demo.walk import interruption, report
from llmauth.demo.walk.audience import watch
from llmauth.demo.walk.cast import USERS
from llmauth.demo.walk.client import interpreter
from llmauth.demo.walk.document import document
from llmauth.demo.walk.evidence import Outcome
from llmauth.demo.walk.problem import DemoFailed
from llmauth.demo.walk.stage import Stage
from llmauth.demo.walk.tour import walk

WIDTH_OF_FILES = 100

app = typer.Typer(
    help="Run the proxy with emulated providers, and send real calls through it.",
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="End after the calls, instead of with Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One document, for scripts.")] = False,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Of the proxy; any free one unless given.")] = None,
) -> None:
    """Start the proxy before emulated providers, call through it with the official SDKs, and show what each side saw.

    Needs no account, no key and no internet. Ends with status 0 when every call went as it must, else with 1.
    """
    try:
        with interruption.by_signals():
            ok = _perform(port, once=once, as_json=as_json)
    except DemoFailed as error:
        typer.echo(f"Error: {error}", err=True)
        ok = False
    raise typer.Exit(0 if ok else 1)


def _perform(port: int | None, *, once: bool, as_json: bool) -> bool:
    """Whether every call went as it must."""
    began = time.monotonic()
    interpreter(os.environ)  # before anything is started that would have to be ended
    with Stage(USERS, port) as stage:
        outcomes = _walk(stage)
        seconds = time.monotonic() - began
        if as_json:
            _print_document(stage, outcomes, seconds, once=once)
        else:
            _print_report(stage, outcomes, once=once)
    return not any(outcome.problems for outcome in outcomes)


def _walk(stage: Stage) -> list[Outcome]:
    """The walk, with a line on a terminal that tells what is going on."""
    progress = Console(stderr=True, highlight=False)
    if not progress.is_terminal:
        return list(walk(stage, lambda what: None))
    with progress.status("Starting the emulated providers …") as status:
        return list(walk(stage, lambda what: status.update(f"{what} …")))


def _print_document(stage: Stage, outcomes: Sequence[Outcome], seconds: float, *, once: bool) -> None:
    with _serving(once):
        facts = document(stage, outcomes, seconds=seconds, serving=not once)
        typer.echo(json.dumps(facts, indent=2, ensure_ascii=False))
        for _ in () if once else watch(stage):
            pass


def _print_report(stage: Stage, outcomes: Sequence[Outcome], *, once: bool) -> None:
    console = Console(highlight=False, width=_width())
    with _serving(once):
        report.show(console, outcomes)
        if not once:
            report.invite(console, stage)
        for line in () if once else watch(stage):
            console.print(line)
    if not once:
        console.print("\nEnded.")


def _width() -> int | None:
    """That of the terminal; in a file or a pipe, which has none, enough for all columns of the tables."""
    return None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDTH_OF_FILES


def _serving(once: bool) -> AbstractContextManager[None]:
    """Once all calls are made and told, Ctrl-C is how it is meant to end."""
    return nullcontext() if once else suppress(KeyboardInterrupt)
