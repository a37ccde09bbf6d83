"""`llmauth tail`: each request when it is over, until Ctrl-C."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from llmauth.cli import past
from llmauth.cli.last import terminal
from llmauth.cli.request_lines import line

app = typer.Typer(help="Show requests as they end.", add_completion=False, pretty_exceptions_enable=False)


@app.command()
def tail(
    user: Annotated[str | None, typer.Option(metavar="U", help="Of this user alone.")] = None,
    proxy: Annotated[str | None, typer.Option(metavar="URL", help="Ask this proxy, for requests of your own.")] = None,
    proxy_ca_file: Annotated[Path | None, typer.Option(help="The CA of that proxy's certificate.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts: one object a line.")] = False,
) -> None:
    """Show each request when it is over, until Ctrl-C."""
    try:
        place = past.live(proxy, proxy_ca_file)
        if place is None:
            typer.echo("No proxy runs on this state folder (LLMAUTH_HOME), and none was joined.", err=True)
            raise typer.Exit(1)
        typer.echo(f"Following {place.name}; Ctrl-C ends it.", err=True)
        for one in place.follow(user):
            typer.echo(json.dumps(one, ensure_ascii=True) if as_json else line(one, terminal()))
    except past.FAILURES as error:
        raise past.failing(error) from None
