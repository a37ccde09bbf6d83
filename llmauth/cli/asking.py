"""Questions to whoever sits at the terminal: on standard error, so that standard output is for what was asked for."""

from __future__ import annotations

import sys

import typer


def is_person() -> bool:
    """Whether somebody could answer."""
    return sys.stdin.isatty()


def confirmed(question: str) -> bool:
    """Whether a person says yes; everything else is no."""
    typer.echo(f"{question}  [y/N] ", err=True, nl=False)
    answer = sys.stdin.readline(64)
    if not answer.endswith("\n"):
        typer.echo(err=True)
    return answer.strip().lower() in ("y", "yes")
