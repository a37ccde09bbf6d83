"""`llmauth leave`: ends the session at the proxy that was joined, and forgets it."""

from __future__ import annotations

import os

import typer

from llmauth.cli.proxy import ProxyFailed, ask, place_of
from llmauth.clients import joined
from llmauth.clients.joined import Joined
from llmauth.credentials.entries import KeyringRefused
from llmauth.storage.home import StateError

app = typer.Typer(help="Forget the proxy that was joined.", add_completion=False, pretty_exceptions_enable=False)


@app.command()
def leave() -> None:
    """End the session at the proxy, and take its profile, certificate and session away from this machine."""
    try:
        found = joined.read(os.environ)
    except StateError:
        found = None  # what is damaged is taken away all the same
    is_over = found is not None and ended(found)
    gone = joined.forget_joined(os.environ)
    if not gone:
        typer.echo("Error: No proxy was joined.", err=True)
        raise typer.Exit(1)
    for one in gone:
        typer.echo(f"Removed {one}")
    if found is not None and not is_over:
        typer.echo("The session could not be ended at the proxy; it ends by itself.", err=True)


def ended(found: Joined) -> bool:
    """End the session at a proxy; whether it is over."""
    try:
        session = joined.session(found, os.environ)
        if session is None:
            return False
        ask(place_of(found.url), "POST", "/auth/logout", session, ca_file=joined.trusted(found, os.environ))
    except (ProxyFailed, KeyringRefused, StateError, ValueError):
        return False
    return True
