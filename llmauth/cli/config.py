"""`llmauth config`: checks configuration files without starting anything."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from llmauth.config.problems import ConfigError
from llmauth.config.settings import Settings, read_settings

app = typer.Typer(
    name="config",
    help="Check a configuration.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _group() -> None:
    """Makes `config` a group although it has one command."""


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
