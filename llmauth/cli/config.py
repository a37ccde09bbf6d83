"""`llmauth config`: checks configuration files without starting anything, and has running proxies read theirs anew."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from llmauth.config.problems import ConfigError
from llmauth.config.settings import Settings, read_settings
from llmauth.control.client import ControlFailed, ask_all, ask_each
from llmauth.durations import parse_duration
from llmauth.storage.home import state_folder

_Ask = Callable[[Path, Mapping[str, Any]], Iterable[dict[str, Any]]]

app = typer.Typer(
    name="config",
    help="Check a configuration, and have running proxies take it over.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _group() -> None:
    """Both have to do with files that are read whole or not at all."""


@app.command()
def check(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE...", help="Read together, as `serve --config` would; none: the default ones."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Read the files, the environment and the defaults as `serve` would, and name every fault with file and line."""
    try:
        settings = read_settings(files or [], os.environ)
    except ConfigError as error:
        if not as_json:
            raise
        typer.echo(json.dumps({"ok": False, "problems": _problems(error)}, indent=2, ensure_ascii=False))
        raise typer.Exit(2) from None
    facts = _facts(settings)
    if as_json:
        typer.echo(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    names = ", ".join(settings.instances) or "none"
    typer.echo(f"{', '.join(str(file) for file in settings.files) or 'no file'}: all is well. Instances: {names}")
    for name in settings.unavailable:
        typer.echo(f"Without effect in this version: {name}", err=True)
    for warning in settings.warnings:
        typer.echo(f"Warning: {warning}", err=True)


@app.command()
def reload(as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False) -> None:
    """Have the proxies that run on this state folder read their configuration again, all of it or nothing."""
    with Console(stderr=True).status("Reading the configuration, and asking for new credentials …"):
        answers = _answers(ask_each, {"ask": "reload"})
    if as_json:
        typer.echo(json.dumps(answers, indent=2, ensure_ascii=False))
    else:
        for answer in answers:
            _tell(answer)
    if not all(answer["ok"] for answer in answers):
        raise typer.Exit(2)


@app.command("log-level")
def log_level(
    level: Annotated[str | None, typer.Argument(metavar="LEVEL", help="debug, info, warning or error.")] = None,
    lasts: Annotated[str | None, typer.Option("--for", metavar="TIME", help="So long, as 10m.")] = None,
    reset: Annotated[bool, typer.Option("--reset", help="Back to what the configuration says.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Show or change how much the proxies that run on this state folder log; a restart forgets it."""
    if lasts is not None and level is None:
        raise typer.BadParameter("a time is for a level; write `llmauth config log-level debug --for 10m`")
    question = {"ask": "log_level", "level": level, "lasts": _seconds(lasts), "reset": reset}
    answers = _answers(ask_all, question)
    if as_json:
        typer.echo(json.dumps(answers, indent=2))
        return
    for answer in answers:
        left = f" for {answer['ends_in']} s, then {answer['configured']}" if answer["ends_in"] is not None else ""
        typer.echo(f"Process {answer['process']} logs at level {answer['level']}{left}.")


def _answers(ask: _Ask, question: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Of the proxies that run here; where there is none, or one does not answer, that is told and the command ends."""
    try:
        answers = list(ask(state_folder(os.environ), question))
    except ControlFailed as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from None
    if not answers:
        typer.echo("Error: no proxy runs on this state folder.", err=True)
        raise typer.Exit(1)
    return answers


def _seconds(text: str | None) -> float | None:
    try:
        return None if text is None else parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--for") from None


def _tell(answer: dict[str, Any]) -> None:
    if not answer["ok"]:
        typer.echo(answer["why"], err=True)
        typer.echo("The configuration was not taken over; the one before stays in force.", err=True)
        return
    changed = ", ".join(answer["changed"])
    typer.echo(f"Taken over. Changed: {changed}" if changed else "Read again; nothing changed.")
    if answer["restart"]:
        typer.echo(f"Only after a restart: {', '.join(answer['restart'])}")
    for name in answer["without_credential"]:
        typer.echo(f"Warning: instance '{name}' has no credential; `llmauth creds` tells why.", err=True)
    for warning in answer["warnings"]:
        typer.echo(f"Warning: {warning}", err=True)


def _facts(settings: Settings) -> dict[str, object]:
    return {
        "ok": True,
        "files": [str(file) for file in settings.files],
        "instances": {name: instance.type for name, instance in settings.instances.items()},
        "unavailable": list(settings.unavailable),
        "warnings": list(settings.warnings),
    }


def _problems(error: ConfigError) -> list[dict[str, object]]:
    return [
        {"file": one.place.source, "line": one.place.line, "path": one.path, "message": one.message}
        for one in error.problems
    ]
