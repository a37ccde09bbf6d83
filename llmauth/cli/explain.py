"""`llmauth explain`: everything that is known of one request, and why it was decided so."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from llmauth.cli import past
from llmauth.cli.explained import explained
from llmauth.cli.last import terminal
from llmauth.cli.past import Past, Request
from llmauth.cli.request_lines import plain, table

app = typer.Typer(help="Explain one request.", add_completion=False, pretty_exceptions_enable=False)

_SHOWN = 10


@app.command()
def explain(
    request_id: Annotated[str, typer.Argument(help="Our id or the provider's; of ours the beginning is enough.")],
    proxy: Annotated[str | None, typer.Option(metavar="URL", help="Ask this proxy, for requests of your own.")] = None,
    proxy_ca_file: Annotated[Path | None, typer.Option(help="The CA of that proxy's certificate.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts: one object.")] = False,
) -> None:
    """Show the six decisions, what was changed in the head, the credential's age, and the times.

    The proxy that runs here is asked, or the one that you joined; for what is older, the audit record.
    """
    try:
        places = past.places(proxy, proxy_ca_file)
        found = next((found for place in places if (found := place.find(request_id))), ())
    except past.FAILURES as error:
        raise past.failing(error) from None
    one = _the_one(request_id, found, places)
    typer.echo(json.dumps(one, ensure_ascii=True) if as_json else "\n".join(explained(one)))
    if not as_json:
        _add(one, found)


def _the_one(name: str, found: Sequence[Request], places: Sequence[Past]) -> Request:
    if not found:
        asked = " and ".join(place.name for place in places)
        typer.echo(f"No request with the id '{plain(name[:128])}' is known to {asked}.", err=True)
        raise typer.Exit(1)
    if len({one["request_id"] for one in found}) > 1:
        typer.echo(f"{len(found)} requests begin so; write more of the id:", err=True)
        # Whole, since a beginning is what was not enough.
        for line in table([{**one, "short": one["request_id"]} for one in found[-_SHOWN:]], terminal()):
            typer.echo(line, err=True)
        raise typer.Exit(1)
    return found[-1]


def _add(one: Request, found: Sequence[Request]) -> None:
    if len(found) > 1:
        typer.echo(f"{len(found)} requests bear this id, which their client chose; this is the newest.", err=True)
    if (said := past.of_record([one])) is not None:
        typer.echo(said, err=True)
