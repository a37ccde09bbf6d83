"""`llmauth ca`: shows, exports and replaces the certificate authority that clients must trust."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from llmauth.ca import CERTIFICATE_FILE, KEY_FILE, Authority
from llmauth.config.settings import Settings, ca_domains, read_settings

app = typer.Typer(
    name="ca",
    help="Show, export and replace the certificate authority of intercepted tunnels.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Configs = Annotated[list[Path] | None, typer.Option("--config", help="Configuration; repeatable.")]
AsJson = Annotated[bool, typer.Option("--json", help="For scripts.")]


@app.command()
def show(config: Configs = None, as_json: AsJson = False) -> None:
    """Where it is, its fingerprint, until when it is valid, and which names it may sign. Makes nothing."""
    settings = read_settings(config or [], os.environ)
    if not (settings.ca.folder / KEY_FILE).exists():
        typer.echo(f"No certificate authority yet in {settings.ca.folder}; `llmauth ca export` makes one.", err=True)
        raise typer.Exit(1)
    authority = _authority(settings)
    facts: dict[str, object] = {
        "certificate": str(settings.ca.folder / CERTIFICATE_FILE),
        "sha256": authority.fingerprint(),
        "valid_until": datetime.fromtimestamp(authority.expires_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "days_left": authority.days_left(),
        "domains": list(authority.domains),
    }
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    typer.echo(f"Certificate   {facts['certificate']}")
    typer.echo(f"SHA-256       {facts['sha256']}")
    typer.echo(f"Valid until   {facts['valid_until']} ({facts['days_left']} days)")
    typer.echo(f"May sign      {', '.join(authority.domains)}, and names below them")


@app.command()
def export(config: Configs = None) -> None:
    """Print the public certificate (PEM)."""
    typer.echo(_authority(read_settings(config or [], os.environ)).certificate_pem(), nl=False)


@app.command()
def bundle(config: Configs = None) -> None:
    """Print the public roots with ours, for clients that take one file only."""
    typer.echo(_authority(read_settings(config or [], os.environ)).bundle(), nl=False)


@app.command()
def rotate(config: Configs = None) -> None:
    """Make a new one in place of the old, whose files are kept beside it. Clients must be given the new certificate."""
    settings = read_settings(config or [], os.environ)
    authority = Authority.rotate(settings.ca.folder, ca_domains(settings))
    typer.echo(f"New certificate authority in {settings.ca.folder}, SHA-256 {authority.fingerprint()}", err=True)
    typer.echo(
        "Give `llmauth ca export` to the clients, then restart running servers: they use it from then on.", err=True
    )


def _authority(settings: Settings) -> Authority:
    return Authority.load_or_create(settings.ca.folder, ca_domains(settings), create=settings.ca.create)
