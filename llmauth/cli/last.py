"""`llmauth last`: what became of the last requests."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from llmauth.cli import past
from llmauth.cli.request_lines import table

app = typer.Typer(help="Show the last requests.", add_completion=False, pretty_exceptions_enable=False)


@app.command()
def last(
    number: Annotated[int, typer.Option("-n", metavar="N", min=1, max=1000, help="So many.")] = 1,
    user: Annotated[str | None, typer.Option(metavar="U", help="Of this user alone.")] = None,
    proxy: Annotated[str | None, typer.Option(metavar="URL", help="Ask this proxy, for requests of your own.")] = None,
    proxy_ca_file: Annotated[Path | None, typer.Option(help="The CA of that proxy's certificate.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts: one object a line.")] = False,
) -> None:
    """Show who called what, how it ended, and what it cost in tokens, money and time; the newest last.

    The proxy that runs here is asked, or the one that you joined; where none runs, the audit record.
    """
    try:
        requests, found_in = [], ""
        for place in past.places(proxy, proxy_ca_file):
            requests, found_in = list(place.recent(number, user)), place.name
            if requests:
                break
    except past.FAILURES as error:
        raise past.failing(error) from None
    if as_json:
        for one in requests:
            typer.echo(json.dumps(one, ensure_ascii=True))
        return
    if not requests:
        typer.echo(f"No request so far, says {found_in}.", err=True)
        return
    for line in table(requests, terminal()):
        typer.echo(line)
    if (said := past.of_record(requests)) is not None:
        typer.echo(said, err=True)


def terminal() -> int | None:
    """How many cells a line may have; None where nobody looks at it on a terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
